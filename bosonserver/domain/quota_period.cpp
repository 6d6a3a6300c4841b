#include "bosonserver/domain/quota_period.h"

#include <chrono>

namespace higgs::boson {

QuotaPeriod quota_period_at(std::int64_t seconds) {
  namespace chrono = std::chrono;
  const auto day = chrono::floor<chrono::days>(chrono::sys_seconds(chrono::seconds(seconds)));
  const chrono::year_month_day date(day);
  const auto month = date.year() / date.month();
  const chrono::sys_days next((month + chrono::months(1)) / 1);
  return {static_cast<int>(date.year()) * 100 + static_cast<unsigned>(date.month()),
          chrono::duration_cast<chrono::seconds>(next.time_since_epoch()).count()};
}

}  // namespace higgs::boson
