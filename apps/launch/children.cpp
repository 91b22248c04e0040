#include <launch/children.h>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <antiphon/base/error.h>
#include <antiphon/base/progress.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/signals.h>
#include <antiphon/comm/leave.h>
#include <antiphon/comm/place.h>
#include <antiphon/early/cpu_quota.h>
#include <antiphon/early/stop_signals.h>
#include <common/program.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

namespace antiphon::apps {
namespace {

[[noreturn]] void fail_for(const std::string& what) {
  fail(ErrorKind::distributed, fmt::format("cannot {}: {}", what, std::strerror(errno)));
}

// As torchrun; threads share the processors.
void set_environment(const LaunchPlan& plan, int index, int listener, int port, int beacons) {
  const auto set = [](const char* name, const std::string& value) { setenv(name, value.c_str(), 1); };
  set("RANK", std::to_string(plan.node * plan.processes + index));
  set("WORLD_SIZE", std::to_string(plan.nodes * plan.processes));
  set("LOCAL_RANK", std::to_string(index));
  set("LOCAL_WORLD_SIZE", std::to_string(plan.processes));
  set("MASTER_ADDR", plan.address);
  set("MASTER_PORT", std::to_string(port));
  set(beacon::kVariable, fmt::format("{}:{}", beacons, index));
  if (listener >= 0) set(comm::kListener, std::to_string(listener));
  // A number that leaves each processor one thread was meant for a process alone.
  const int processors = early::processors();
  const char* threads = std::getenv("OMP_NUM_THREADS");
  if (!threads || std::atoi(threads) >= processors)
    set("OMP_NUM_THREADS", std::to_string(std::max(1, processors / plan.processes)));
}

}  // namespace

Children::Children(const LaunchPlan& plan) : first_rank_(plan.node * plan.processes), launcher_(getpid()) {
  const auto size = sizeof(beacon::Page) * static_cast<size_t>(plan.processes);
  file_ = memfd_create("antiphon beacons", 0);
  if (file_ < 0 || ftruncate(file_, static_cast<off_t>(size)) != 0) fail_for("make memory that processes share");
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0);
  if (memory == MAP_FAILED) fail_for("make memory that processes share");
  pages_ = static_cast<beacon::Page*>(memory);
  for (int i = 0; i < plan.processes; ++i) new (pages_ + i) beacon::Page;
  int port = plan.port;
  const int listener = plan.node == 0 ? comm::listen_at(plan.address, port) : -1;
  children_.resize(static_cast<size_t>(plan.processes));
  for (int i = 0; i < plan.processes; ++i) start(plan, i, i == 0 ? listener : -1, port);
  if (listener >= 0) close(listener);
}

Children::~Children() {
  kill_all();
  for (auto& child : children_) {
    if (child.pid > 0) waitpid(child.pid, nullptr, 0);
    if (child.output >= 0) close(child.output);
  }
  munmap(pages_, sizeof(beacon::Page) * children_.size());
  close(file_);
}

void Children::start(const LaunchPlan& plan, int index, int listener, int port) {
  int ends[2] = {-1, -1};
  if (index > 0 && pipe2(ends, O_CLOEXEC) != 0) fail_for("make a pipe");
  auto& child = children_[static_cast<size_t>(index)];
  child.pid = fork();
  if (child.pid < 0) fail_for("start a process");
  if (child.pid == 0) become(plan, index, listener, port, ends[1]);
  if (index > 0) close(ends[1]), fcntl(ends[0], F_SETFL, O_NONBLOCK);
  child.output = ends[0];
  ++left_;
}

// In the new process. It has a group of its own, so that a terminal's Ctrl-C reaches it once, through the launcher.
void Children::become(const LaunchPlan& plan, int index, int listener, int port, int output) const {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != launcher_) _exit(1);
  setpgid(0, 0);
  if (output >= 0) dup2(output, STDOUT_FILENO), dup2(output, STDERR_FILENO);
  if (listener >= 0) fcntl(listener, F_SETFD, 0);
  set_environment(plan, index, listener, port, file_);
  // What the launcher blocks to read them are blocked here, too: stop signals stay so until training handles them.
  early::hold_stop_signals();
  sigset_t others;
  sigemptyset(&others), sigaddset(&others, SIGCHLD);
  sigprocmask(SIG_UNBLOCK, &others, nullptr);
  const auto path = program_path();
  std::vector<char*> words{const_cast<char*>(path.c_str())};
  for (const auto& word : plan.words) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  execv(path.c_str(), words.data());
  std::fprintf(stderr, "error: cannot start %s: %s\n", path.c_str(), std::strerror(errno));
  _exit(static_cast<int>(ErrorKind::distributed));
}

void Children::pass_on(int signal) {
  for (const auto& child : children_)
    if (child.pid > 0) kill(child.pid, signal);
}

void Children::ask_others(int signal) {
  sigval of_others{};
  of_others.sival_int = kAskedOther;
  for (const auto& child : children_)
    if (child.pid > 0 && sigqueue(child.pid, signal, of_others) != 0) kill(child.pid, signal);
}

bool Children::writes_last() const {
  for (int i = 0; i < count(); ++i)
    if (const auto& one = page(i); children_[static_cast<size_t>(i)].pid > 0 && one.slow > 0 && one.waits == 0 &&
                                   std::strncmp(one.doing, beacon::kWritesLast, sizeof one.doing) == 0)
      return true;
  return false;
}

void Children::kill_all() {
  killed_ = true;
  pass_on(SIGKILL);
}

void Children::show(int index) {
  auto& child = children_[static_cast<size_t>(index)];
  constexpr size_t kLongest = 1 << 16;
  char bytes[4096];
  const auto print = [&](std::string_view line) {
    const std::scoped_lock lock(terminal_mutex());
    std::fprintf(stderr, "%s[%d] %s\n", isatty(STDERR_FILENO) ? "\r\033[K" : "", first_rank_ + index,
                 shown(line, kLineLetters).c_str());
  };
  ssize_t count = 0;
  while (child.output >= 0 && (count = read(child.output, bytes, sizeof bytes)) > 0) {
    child.line.append(bytes, static_cast<size_t>(count));
    for (size_t end; (end = child.line.find('\n')) != std::string::npos; child.line.erase(0, end + 1))
      print(std::string_view(child.line).substr(0, end));
    if (child.line.size() > kLongest) print(std::exchange(child.line, {}));
  }
  if (count == 0 && !child.line.empty()) print(std::exchange(child.line, {}));  // its last words
}

void Children::note_end(int index, int status) {
  show(index);
  children_[static_cast<size_t>(index)].pid = -1, --left_;
  const Ended ended{first_rank_ + index, WIFEXITED(status) ? WEXITSTATUS(status) : 0,
                    WIFSIGNALED(status) ? WTERMSIG(status) : 0, pages_[index].doing == comm::kLeaving};
  if (!killed_ || ended.signal != SIGKILL) ended_.push_back(ended);
}

void Children::look() {
  for (int i = 0; i < count(); ++i) {
    const auto pid = children_[static_cast<size_t>(i)].pid;
    show(i);
    int status = 0;
    if (pid > 0 && waitpid(pid, &status, WNOHANG) == pid) note_end(i, status);
  }
}

std::string Children::state(int index) const {
  const auto pid = children_[static_cast<size_t>(index)].pid;
  std::FILE* file = pid > 0 ? std::fopen(fmt::format("/proc/{}/stat", pid).c_str(), "r") : nullptr;
  if (!file) return "";
  char letter = 0;
  const bool read = std::fscanf(file, "%*d (%*[^)]) %c", &letter) == 1;
  std::fclose(file);
  return read && (letter == 'T' || letter == 't') ? "stopped" : "";
}

std::vector<int> Children::outputs() const {
  std::vector<int> files;
  for (const auto& child : children_)
    if (child.output >= 0 && child.pid > 0) files.push_back(child.output);
  return files;
}

}  // namespace antiphon::apps
