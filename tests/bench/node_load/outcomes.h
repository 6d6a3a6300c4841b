// What became of requests, and how long after the time at which they were meant to be sent they were answered: a
// generator that waits for a slow server would otherwise hide how slow it is.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "net/http.h"

namespace higgs::node_load {

class Outcomes {
 public:
  void add(const Result<net::HttpResponse>& answer, Instant due, Instant now) {
    if (answer && answer->status == 200) {
      waits_.push_back(std::chrono::duration<double, std::milli>(now - due).count());
    } else {
      ++failures_[answer ? std::to_string(answer->status) : answer.error().message()];
    }
  }
  /// It could not even be sent in time.
  void add_unsent() { ++failures_["not sent"]; }
  std::size_t answered() const noexcept { return waits_.size(); }
  const std::map<std::string, std::size_t>& failures() const noexcept { return failures_; }
  /// ms; 0 if nothing was answered.
  double percentile(double share) {
    if (waits_.empty()) return 0;
    std::sort(waits_.begin(), waits_.end());
    const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(waits_.size())));
    return waits_[std::max<std::size_t>(rank, 1) - 1];
  }

 private:
  std::vector<double> waits_;                    // ms
  std::map<std::string, std::size_t> failures_;  // by status or error
};

}  // namespace higgs::node_load
