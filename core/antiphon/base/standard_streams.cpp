#include <antiphon/base/standard_streams.h>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

namespace antiphon {
namespace {
int first_failure = 0;  // errno
}

void open_standard_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (fcntl(fd, F_GETFD) < 0 && errno == EBADF) ::open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY);
}

void push_stdout() {
  errno = 0;
  if (std::fflush(stdout) != 0 && first_failure == 0) first_failure = errno;
}

void flush_stdout() {
  push_stdout();
  const bool failed = std::ferror(stdout) != 0;
  std::clearerr(stdout);
  const int code = std::exchange(first_failure, 0);
  if (failed || code != 0) throw stdout_error(code);
}

Error stdout_error(int code) {
  return {ErrorKind::config,
          fmt::format("cannot write to stdout: {}", code ? std::strerror(code) : "a part of it was refused"),
          code == ENOSPC ? "free some space there, or write to another place"
                         : "give the command a stdout that it can write to"};
}

}  // namespace antiphon
