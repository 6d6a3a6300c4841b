#include "net/tls_bio.h"

#include <cerrno>
#include <new>

#include <openssl/bio.h>
#include <sys/socket.h>

namespace higgs::net {

namespace {

struct State {
  int fd;
  bool more = false;
  bool ended = false;
};

State* state_of(BIO* bio) noexcept { return static_cast<State*>(BIO_get_data(bio)); }

int write_ex(BIO* bio, const char* data, std::size_t size, std::size_t* written) {
  const State* state = state_of(bio);
  BIO_clear_retry_flags(bio);
  const ssize_t sent = ::send(state->fd, data, size, MSG_NOSIGNAL | (state->more ? MSG_MORE : 0));
  if (sent < 0) {
    if (errno == EAGAIN || errno == EINTR) BIO_set_retry_write(bio);
    return 0;
  }
  *written = static_cast<std::size_t>(sent);
  return 1;
}

int read_ex(BIO* bio, char* data, std::size_t size, std::size_t* received) {
  State* state = state_of(bio);
  BIO_clear_retry_flags(bio);
  const ssize_t count = ::recv(state->fd, data, size, 0);
  if (count <= 0) {
    if (count == 0) state->ended = true;
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_read(bio);
    return 0;
  }
  *received = static_cast<std::size_t>(count);
  return 1;
}

long control(BIO* bio, int command, long, void*) {
  switch (command) {
    case BIO_CTRL_FLUSH:
      return 1;
    case BIO_CTRL_EOF:
      return state_of(bio)->ended ? 1 : 0;
    default:
      return 0;
  }
}

int destroy(BIO* bio) {
  delete state_of(bio);
  return 1;
}

BIO_METHOD* method() {
  static BIO_METHOD* const kMade = [] {
    BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "higgs socket");
    if (m == nullptr) throw std::bad_alloc();
    BIO_meth_set_write_ex(m, write_ex);
    BIO_meth_set_read_ex(m, read_ex);
    BIO_meth_set_ctrl(m, control);
    BIO_meth_set_destroy(m, destroy);
    return m;
  }();
  return kMade;
}

}  // namespace

BIO* make_socket_bio(int fd) {
  BIO* bio = BIO_new(method());
  if (bio == nullptr) throw std::bad_alloc();
  BIO_set_data(bio, new State{fd});
  BIO_set_init(bio, 1);
  return bio;
}

void set_more_follows(BIO* bio, bool more) noexcept { state_of(bio)->more = more; }

}  // namespace higgs::net
