// OpenSSL's view of a non-blocking socket. Its own socket BIO writes without MSG_NOSIGNAL, so that a peer who has gone
// would kill the program, and it sends each record on its own.
#pragma once

typedef struct bio_st BIO;

namespace higgs::net {

/// Reads and writes `fd`, which stays its owner's.
BIO* make_socket_bio(int fd);
/// The next record is followed by another at once: the kernel may wait and fill its segments (MSG_MORE).
void set_more_follows(BIO* bio, bool more) noexcept;

}  // namespace higgs::net
