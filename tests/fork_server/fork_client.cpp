// Stands in for the program in tests that start it often: hands all it has to the fork server (fork_server.cpp), passes
// signals on, and ends as the server's child does. If what it has cannot be handed over, it becomes the program.
//   FORK_SERVER           the server's socket; without it, the program
//   FORK_SERVER_LISTENER  a file on which to listen: it becomes the server
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "surroundings.h"

extern char** environ;

namespace {
using namespace fork_server;

int become_program(char** argv) {
  execv(PROGRAM, argv);
  std::perror(PROGRAM);
  return 1;
}

// The numbers of all open files but the folder that is read; empty if a standard one is missing or a terminal.
std::vector<int> open_files() {
  std::vector<int> numbers;
  DIR* folder = opendir("/proc/self/fd");
  if (!folder) return {};
  while (const dirent* entry = readdir(folder))
    if (const int number = std::atoi(entry->d_name); entry->d_name[0] != '.' && number != dirfd(folder))
      numbers.push_back(number);
  closedir(folder);
  for (const int standard : {0, 1, 2})
    if (std::ranges::find(numbers, standard) == numbers.end() || isatty(standard)) return {};
  return numbers.size() > kMostFiles ? std::vector<int>{} : numbers;
}

int connect_to(const char* path) {
  sockaddr_un address{AF_UNIX, {}};
  if (std::strlen(path) >= sizeof address.sun_path) return -1;
  std::strcpy(address.sun_path, path);
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket >= 0 && connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return socket;
  if (socket >= 0) close(socket);
  return -1;
}

bool send_request(int socket, int folder, const std::vector<int>& files, const sigset_t& blocked, char** argv) {
  Request request;
  std::string text;
  for (char** word = argv; *word; ++word, ++request.words) text.append(*word, std::strlen(*word) + 1);
  for (char** word = environ; *word; ++word, ++request.variables) text.append(*word, std::strlen(*word) + 1);
  request.text = static_cast<uint32_t>(text.size());
  request.files = static_cast<int32_t>(files.size());
  std::ranges::copy(files, request.numbers);
  umask(request.mask = umask(0));
  request.blocked = blocked, request.ignored = ignored_here();
  request.fixed = fixed_here();

  std::vector<int> sent{folder};
  sent.insert(sent.end(), files.begin(), files.end());
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * (kMostFiles + 1))]{};
  iovec part{&request, sizeof request};
  msghdr message{nullptr, 0, &part, 1, control, CMSG_SPACE(sizeof(int) * sent.size()), 0};
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  *header = {CMSG_LEN(sizeof(int) * sent.size()), SOL_SOCKET, SCM_RIGHTS};
  std::memcpy(CMSG_DATA(header), sent.data(), sizeof(int) * sent.size());
  if (sendmsg(socket, &message, MSG_NOSIGNAL) != static_cast<ssize_t>(sizeof request)) return false;
  for (size_t done = 0; done < text.size();) {
    const ssize_t count = send(socket, text.data() + done, text.size() - done, MSG_NOSIGNAL);
    if (count <= 0) return false;
    done += static_cast<size_t>(count);
  }
  return true;
}

// With its mark, if it carries one.
void pass_on(const signalfd_siginfo& info, pid_t child) {
  sigval value{};
  value.sival_int = info.ssi_int;
  if (info.ssi_code == SI_QUEUE)
    sigqueue(child, static_cast<int>(info.ssi_signo), value);
  else
    kill(child, static_cast<int>(info.ssi_signo));
}

int end_as(int status) {
  if (!WIFSIGNALED(status)) _exit(WEXITSTATUS(status));
  const int signal = WTERMSIG(status);
  const rlimit none{};
  setrlimit(RLIMIT_CORE, &none);
  std::signal(signal, SIG_DFL);
  sigset_t only;
  sigemptyset(&only), sigaddset(&only, signal);
  raise(signal);
  sigprocmask(SIG_UNBLOCK, &only, nullptr);
  return 1;
}

}  // namespace

int main(int, char** argv) {
  if (std::getenv("FORK_SERVER_LISTENER")) {
    setenv("LD_PRELOAD", SERVER, 1);
    return become_program(argv);
  }
  const char* path = std::getenv("FORK_SERVER");
  const auto files = open_files();
  if (!path || files.empty()) return become_program(argv);
  const int folder = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
  const int server = connect_to(path);
  if (server < 0 || folder < 0) return become_program(argv);

  sigset_t all, before;
  sigfillset(&all);
  for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTSTP, SIGCONT}) sigdelset(&all, fault);
  sigprocmask(SIG_BLOCK, &all, &before);
  pid_t child = 0;
  if (!send_request(server, folder, files, before, argv) || !read_all(server, &child, sizeof child) || child <= 0) {
    close(server), close(folder);
    sigprocmask(SIG_SETMASK, &before, nullptr);
    return become_program(argv);
  }
  // Who reads what the child writes sees its end when the child has closed it.
  for (const int file : files) close(file);
  close(folder);
  const int signals = signalfd(-1, &all, SFD_CLOEXEC);
  pollfd waited[] = {{server, POLLIN, 0}, {signals, POLLIN, 0}};
  while (poll(waited, 2, -1) >= 0) {
    if (signalfd_siginfo info{}; (waited[1].revents & POLLIN) && read(signals, &info, sizeof info) == sizeof info)
      pass_on(info, child);
    int status = 0;
    if (waited[0].revents != 0) return read_all(server, &status, sizeof status) ? end_as(status) : 1;
  }
  return 1;
}
