// Preloaded into the program by tests that start it hundreds of times, most of whose time goes into the loading of
// LibTorch: before main() it waits at a socket for requests (fork_client.cpp), and lets a copy of itself, in which all
// libraries are there, go on into main() with the words, environment, files and working directory of each.
//   FORK_SERVER_LISTENER  the socket, listening
//   FORK_SERVER_TELLS     it says why it refuses
// It refuses what would be another process than one that is started: other limits or processors, a variable that only
// libraries read while they are loaded.
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "surroundings.h"

extern char** environ;

namespace {
using namespace fork_server;
using Main = int (*)(int, char**, char**);

constexpr int kOut = 512;  // numbers from here on are the server's, and those of files that are not at their place yet

struct Start {
  Request request;
  std::string text;
  std::vector<char*> words, environment;  // each ends with a null pointer
  std::vector<int> files;                 // the working directory first
};

// Read by the program when it needs them, not by what is loaded before.
bool read_late(const std::string& variable) {
  static const std::set<std::string> kLate{"ANTIPHON_BEACON",
                                           "ANTIPHON_LISTENER",
                                           "ANTIPHON_PLUGIN_PATH",
                                           "ANTIPHON_TRUST_PLUGINS",
                                           "FORK_SERVER",
                                           "HOME",
                                           "LOCAL_RANK",
                                           "LOCAL_WORLD_SIZE",
                                           "MASTER_ADDR",
                                           "MASTER_PORT",
                                           "OLDPWD",
                                           "PATH",
                                           "PWD",
                                           "RANK",
                                           "SHLVL",
                                           "WORLD_SIZE",
                                           "XDG_CACHE_HOME",
                                           "_"};
  return kLate.contains(variable.substr(0, variable.find('=')));
}

std::set<std::string> read_early(char** variables) {
  std::set<std::string> kept;
  for (; *variables; ++variables)
    if (const std::string variable = *variables; !read_late(variable)) kept.insert(variable);
  return kept;
}

bool receive(int socket, Start& start) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * (kMostFiles + 1))];
  iovec part{&start.request, sizeof start.request};
  msghdr message{nullptr, 0, &part, 1, control, sizeof control, 0};
  const auto& request = start.request;
  if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_WAITALL) != static_cast<ssize_t>(sizeof request)) return false;
  if (const cmsghdr* header = CMSG_FIRSTHDR(&message)) {
    start.files.resize((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    std::memcpy(start.files.data(), CMSG_DATA(header), sizeof(int) * start.files.size());
  }
  start.text.resize(request.text);
  if (start.files.size() != static_cast<size_t>(request.files) + 1 ||
      !read_all(socket, start.text.data(), request.text))
    return false;
  char* next = start.text.data();
  const auto take = [&](uint32_t count, std::vector<char*>& into) {
    for (; count > 0; --count, next += std::strlen(next) + 1) into.push_back(next);
    into.push_back(nullptr);
  };
  take(request.words, start.words), take(request.variables, start.environment);
  return true;
}

// Why the start must be refused, "" if it need not.
std::string refusal(Start& start, const Request::Fixed& own) {
  if (std::memcmp(&start.request.fixed, &own, sizeof own) != 0) return "limits, processors, spaces, user or session";
  std::vector<std::string> differ;
  std::ranges::set_symmetric_difference(read_early(start.environment.data()), read_early(environ),
                                        std::back_inserter(differ));
  return differ.empty() ? "" : differ.front();
}

// In the child: what a program that is started has.
void take_over(const Start& start) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (fchdir(start.files[0]) != 0) _exit(127);
  std::vector<int> apart;
  for (const int file : start.files) apart.push_back(fcntl(file, F_DUPFD, kOut));
  close_range(3, kOut - 1, 0);
  for (int i = 0; i < start.request.files; ++i) dup2(apart[static_cast<size_t>(i) + 1], start.request.numbers[i]);
  close_range(kOut, ~0U, 0);
  umask(start.request.mask);
  clearenv();
  for (char* const* variable = start.environment.data(); *variable; ++variable) putenv(*variable);
  for (int signal = 1; signal < SIGRTMIN; ++signal)
    std::signal(signal, sigismember(&start.request.ignored, signal) ? SIG_IGN : SIG_DFL);
  sigprocmask(SIG_SETMASK, &start.request.blocked, nullptr);
}

// Children by the sockets of their clients.
class Server {
 public:
  explicit Server(int listener) : listener_(fcntl(listener, F_DUPFD_CLOEXEC, kOut)) {
    close(listener);
    sigset_t ended;
    sigemptyset(&ended), sigaddset(&ended, SIGCHLD);
    sigprocmask(SIG_BLOCK, &ended, nullptr);
    signals_ = fcntl(signalfd(-1, &ended, SFD_NONBLOCK), F_DUPFD_CLOEXEC, kOut);
  }

  // Returns in each child.
  Start serve() {
    for (;;) {
      std::vector<pollfd> waited{{listener_, POLLIN, 0}, {signals_, POLLIN, 0}};
      for (const auto& [client, child] : children_) waited.push_back({client, POLLIN, 0});
      if (poll(waited.data(), waited.size(), -1) < 0) continue;
      for (size_t i = 2; i < waited.size(); ++i)
        if (waited[i].revents != 0) kill(children_[waited[i].fd], SIGKILL);  // nobody is there any more
      if (waited[1].revents != 0) note_ends();
      Start start;
      if (waited[0].revents != 0 && begin(start)) return start;
    }
  }

 private:
  bool begin(Start& start) {
    const int first = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    const int client = fcntl(first, F_DUPFD_CLOEXEC, kOut);
    close(first);
    const bool got = receive(client, start);
    const auto why = got ? refusal(start, own_) : "no request";
    const bool good = why.empty();
    if (!good && std::getenv("FORK_SERVER_TELLS")) std::fprintf(stderr, "fork server: refused: %s\n", why.c_str());
    const pid_t child = good ? fork() : 0;
    if (good && child == 0) return true;
    for (const int file : start.files) close(file);
    if (write(client, &child, sizeof child) == sizeof child && child > 0)
      children_[client] = child;
    else
      close(client);
    return false;
  }

  void note_ends() {
    for (signalfd_siginfo info; read(signals_, &info, sizeof info) > 0;) continue;
    int status = 0;
    for (pid_t ended; (ended = waitpid(-1, &status, WNOHANG)) > 0;) {
      const auto found = std::ranges::find(children_, ended, [](const auto& pair) { return pair.second; });
      if (found == children_.end()) continue;
      send(found->first, &status, sizeof status, MSG_NOSIGNAL);
      close(found->first);
      children_.erase(found);
    }
  }

  int listener_, signals_;
  Request::Fixed own_ = fixed_here();
  std::map<int, pid_t> children_;
};

Main program_main;

int forked_main(int, char**, char**) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int listener = std::atoi(std::getenv("FORK_SERVER_LISTENER"));
  unsetenv("FORK_SERVER_LISTENER"), unsetenv("LD_PRELOAD");
  static Start start;  // the program's words and variables lie in it
  start = Server(listener).serve();
  take_over(start);
  return program_main(static_cast<int>(start.request.words), start.words.data(), environ);
}

}  // namespace

extern "C" int __libc_start_main(Main main, int argc, char** argv, void (*init)(), void (*fini)(), void (*rtld_fini)(),
                                 void* stack_end) {
  const auto real = reinterpret_cast<decltype(&__libc_start_main)>(dlsym(RTLD_NEXT, "__libc_start_main"));
  if (std::getenv("FORK_SERVER_LISTENER")) program_main = main, main = forked_main;
  return real(main, argc, argv, init, fini, rtld_fini, stack_end);
}
