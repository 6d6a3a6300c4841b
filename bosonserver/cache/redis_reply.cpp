#include "bosonserver/cache/redis_reply.h"

#include <algorithm>
#include <array>
#include <new>

#include <hiredis/hiredis.h>
#include <hiredis/read.h>

#include "base/assert.h"
#include "base/secret.h"

HIGGS_ERROR_CATEGORY(higgs::boson, RedisError, "boson.redis") {
  switch (error) {
    case RedisError::kUnavailable:
      return "Redis is not connected";
    case RedisError::kTimedOut:
      return "Redis did not answer in time";
    case RedisError::kRefused:
      return "Redis refused the command";
    case RedisError::kProtocol:
      return "the answer is not one of Redis to this command";
    case RedisError::kTooLarge:
      return "the command or the answer is larger than it may be";
    case RedisError::kQueueFull:
      return "too many commands wait for Redis";
    case RedisError::kLogin:
      return "Redis does not accept the user, the password or the database";
  }
  return "unknown error of Redis";
}

namespace higgs::boson {

using Kind = RedisReply::Kind;

bool is_status(const RedisReply& reply) noexcept { return reply.kind == Kind::kStatus; }
bool is_integer(const RedisReply& reply) noexcept { return reply.kind == Kind::kInteger; }
bool is_text_or_nil(const RedisReply& reply) noexcept { return reply.kind == Kind::kText || reply.kind == Kind::kNil; }
bool is_pair_of_integers(const RedisReply& reply) noexcept {
  return reply.kind == Kind::kArray && reply.elements.size() == 2 && is_integer(reply.elements[0]) &&
         is_integer(reply.elements[1]);
}
bool is_list(const RedisReply& reply) noexcept {
  return reply.kind == Kind::kArray && std::all_of(reply.elements.begin(), reply.elements.end(), is_text_or_nil);
}

std::string encode_command(const std::vector<std::string>& words) {
  std::vector<const char*> starts;
  std::vector<std::size_t> sizes;
  for (const auto& word : words) {
    starts.push_back(word.data());
    sizes.push_back(word.size());
  }
  char* encoded = nullptr;
  const int size = redisFormatCommandArgv(&encoded, static_cast<int>(words.size()), starts.data(), sizes.data());
  if (size < 0) throw std::bad_alloc();
  const std::span<char> text(encoded, static_cast<std::size_t>(size));
  std::string out(text.begin(), text.end());
  // It may have been a password.
  secure_wipe(std::as_writable_bytes(text));
  redisFreeCommand(encoded);
  return out;
}

/// hiredis would make an array as large as its header claims before the first element is there, so the replies are
/// built here: each object is paid for from the limit, and nothing is reserved. An object that is refused ends the
/// reader. A reply under construction belongs to hiredis by its root; elements are part of their arrays, which do not
/// grow while an element of theirs is being built (the reader goes depth first).
class RedisReplyReader::Impl {
 public:
  explicit Impl(RedisReplyLimits given) : limits(given), reader(redisReaderCreateWithFunctions(&functions())) {
    if (reader == nullptr) throw std::bad_alloc();
    reader->privdata = this;
  }
  ~Impl() { redisReaderFree(reader); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  static redisReplyObjectFunctions& functions() {
    static redisReplyObjectFunctions made{make_text, make_array, make_integer, make_nil, free_reply};
    return made;
  }

  static void* make(const redisReadTask* task, RedisReply reply) {
    auto& self = *static_cast<Impl*>(task->privdata);
    const std::size_t cost = sizeof(RedisReply) + reply.text.size();
    if (cost > self.limits.bytes - self.spent) {
      self.too_large = true;
      return nullptr;
    }
    self.spent += cost;
    if (task->parent == nullptr) return new RedisReply(std::move(reply));
    auto& array = static_cast<RedisReply*>(task->parent->obj)->elements;
    array.push_back(std::move(reply));
    return &array.back();
  }
  static void* make_text(const redisReadTask* task, char* text, std::size_t size) {
    const Kind kind = task->type == REDIS_REPLY_ERROR    ? Kind::kError
                      : task->type == REDIS_REPLY_STATUS ? Kind::kStatus
                                                         : Kind::kText;
    return make(task, {kind, 0, std::string(text, size), {}});
  }
  static void* make_array(const redisReadTask* task, int) { return make(task, {Kind::kArray, 0, {}, {}}); }
  static void* make_integer(const redisReadTask* task, long long value) {
    return make(task, {Kind::kInteger, value, {}, {}});
  }
  static void* make_nil(const redisReadTask* task) { return make(task, {}); }
  static void free_reply(void* reply) { delete static_cast<RedisReply*>(reply); }

  RedisReplyLimits limits;
  redisReader* reader;
  std::size_t spent = 0;  ///< of the limit, by the reply under construction
  bool too_large = false;
  std::optional<RedisError> failed;
};

RedisReplyReader::RedisReplyReader(RedisReplyLimits limits) : impl_(std::make_unique<Impl>(limits)) {}
RedisReplyReader::~RedisReplyReader() = default;

void RedisReplyReader::put(ByteView bytes) {
  if (impl_->failed) return;
  const auto text = as_text(bytes);
  if (redisReaderFeed(impl_->reader, text.data(), text.size()) != REDIS_OK) throw std::bad_alloc();
}

Result<std::optional<RedisReply>> RedisReplyReader::next() {
  Impl& self = *impl_;
  if (self.failed) return *self.failed;
  void* object = nullptr;
  if (redisReaderGetReply(self.reader, &object) != REDIS_OK) {
    self.failed = self.too_large ? RedisError::kTooLarge : RedisError::kProtocol;
    return *self.failed;
  }
  if (object == nullptr) {
    // What hiredis holds back is one unfinished text, or line.
    if (self.reader->len - self.reader->pos > self.limits.bytes) {
      self.failed = RedisError::kTooLarge;
      return *self.failed;
    }
    return std::optional<RedisReply>();
  }
  const std::unique_ptr<RedisReply> reply(static_cast<RedisReply*>(object));
  self.spent = 0;
  return std::optional<RedisReply>(std::move(*reply));
}

}  // namespace higgs::boson
