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
#include <train/flags.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <new>
#include <string_view>
#include <utility>

namespace antiphon::apps {
namespace {

[[noreturn]] void fail_for(const std::string& what) {
  fail(ErrorKind::distributed, fmt::format("cannot {}: {}", what, std::strerror(errno)));
}

bool is_alone(const LaunchPlan& plan) { return plan.nodes * plan.processes == 1; }

using Variables = std::map<std::string, std::string, std::less<>>;

// As torchrun; threads share the processors, if there are others.
Variables variables_of(const LaunchPlan& plan, int index, int listener, int port, int beacons) {
  Variables variables{{"RANK", std::to_string(plan.node * plan.processes + index)},
                      {"WORLD_SIZE", std::to_string(plan.nodes * plan.processes)},
                      {"LOCAL_RANK", std::to_string(index)},
                      {"LOCAL_WORLD_SIZE", std::to_string(plan.processes)},
                      {"MASTER_ADDR", plan.address},
                      {"MASTER_PORT", std::to_string(port)},
                      {beacon::kVariable, fmt::format("{}:{}", beacons, index)}};
  if (listener >= 0) variables[comm::kListener] = std::to_string(listener);
  // A number that leaves each processor one thread was meant for a process alone.
  const int processors = early::processors();
  const char* threads = std::getenv("OMP_NUM_THREADS");
  if (!is_alone(plan) && (!threads || std::atoi(threads) >= processors))
    variables["OMP_NUM_THREADS"] = std::to_string(std::max(1, processors / plan.processes));
  return variables;
}

// This program's, with others of these.
std::vector<std::string> environment_with(const Variables& variables) {
  std::vector<std::string> lines;
  for (char** line = environ; *line; ++line) {
    const std::string_view text(*line);
    if (!variables.contains(text.substr(0, text.find('=')))) lines.emplace_back(text);
  }
  for (const auto& [name, value] : variables) lines.push_back(name + "=" + value);
  return lines;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (auto& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// What a new process becomes, ready before fork(): another thread may hold the allocator's lock or the environment's
// then, which nobody ever releases in the child.
class Image {
 public:
  Image(const std::vector<std::string>& words, const Variables& variables)
      : words_{program_path()}, environment_(environment_with(variables)) {
    words_.insert(words_.end(), words.begin(), words.end());
    word_pointers_ = pointers_to(words_), environment_pointers_ = pointers_to(environment_);
    failure_ = fmt::format("error: cannot start {}\n", words_.front());
  }
  Image(const Image&) = delete;

  // In the new process. It has a group of its own, so that a terminal's Ctrl-C reaches it once, through the launcher.
  [[noreturn]] void become(pid_t launcher, int listener, int output) const {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != launcher) _exit(1);
    setpgid(0, 0);
    if (output >= 0) dup2(output, STDOUT_FILENO), dup2(output, STDERR_FILENO);
    if (listener >= 0) fcntl(listener, F_SETFD, 0);
    // What the launcher blocks to read them are blocked here, too: stop signals stay so until training handles them.
    early::hold_stop_signals();
    sigset_t others;
    sigemptyset(&others), sigaddset(&others, SIGCHLD);
    sigprocmask(SIG_UNBLOCK, &others, nullptr);
    execve(word_pointers_.front(), word_pointers_.data(), environment_pointers_.data());
    [[maybe_unused]] const auto told = write(STDERR_FILENO, failure_.data(), failure_.size());
    _exit(static_cast<int>(ErrorKind::distributed));
  }

 private:
  std::vector<std::string> words_, environment_;
  std::vector<char*> word_pointers_, environment_pointers_;
  std::string failure_;
};

}  // namespace

bool orderly(const Ended& ended) {
  return ended.signal == 0 &&
         (ended.code == 0 || ended.code == static_cast<int>(ErrorKind::preempted) || ended.code == kTooFewSteps);
}

const Ended* cause_of(const std::vector<Ended>& ended) {
  const Ended* cause = nullptr;
  const auto rank_of = [](const Ended& one) {
    if (one.left) return 0;
    if (one.signal) return 1;
    return one.code == static_cast<int>(ErrorKind::distributed) ? 3 : 2;
  };
  for (const auto& one : ended)
    if (!orderly(one) && (!cause || rank_of(one) < rank_of(*cause))) cause = &one;
  return cause;
}

std::string said_by(const std::string& said, int rank) { return fmt::format("{}.{}", said, rank); }

Children::Children(const LaunchPlan& plan) : first_rank_(plan.node * plan.processes) {
  ::signal(SIGCHLD, SIG_DFL);  // ignored, as some programs leave it to theirs, nobody could wait for them
  const auto size = sizeof(beacon::Page) * static_cast<size_t>(plan.processes);
  file_ = memfd_create("antiphon beacons", 0);
  if (file_ < 0 || ftruncate(file_, static_cast<off_t>(size)) != 0) fail_for("make memory that processes share");
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0);
  if (memory == MAP_FAILED) fail_for("make memory that processes share");
  pages_ = static_cast<beacon::Page*>(memory);
  for (int i = 0; i < plan.processes; ++i) new (pages_ + i) beacon::Page;
  int port = plan.port;
  const int listener = plan.node == 0 && !is_alone(plan) ? comm::listen_at(plan.address, port) : -1;
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
  const bool is_shown = index > 0 && plan.said.empty();
  if (is_shown && pipe2(ends, O_CLOEXEC) != 0) fail_for("make a pipe");
  if (!plan.said.empty())
    ends[1] = ::open(said_by(plan.said, first_rank_ + index).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (!plan.said.empty() && ends[1] < 0) fail_for("make " + said_by(plan.said, first_rank_ + index));
  auto& child = children_[static_cast<size_t>(index)];
  const Image image(plan.words, variables_of(plan, index, listener, port, file_));
  const pid_t launcher = getpid();
  child.pid = fork();
  if (child.pid < 0)
    fail(ErrorKind::memory,
         fmt::format("cannot start process {} of {} on this machine: {}", index, plan.processes, std::strerror(errno)),
         "end other programs, raise the limit of processes (`ulimit -u`, the cgroup's pids.max), or start fewer");
  if (child.pid == 0) image.become(launcher, listener, ends[1]);
  if (ends[1] >= 0) close(ends[1]);
  if (is_shown) fcntl(ends[0], F_SETFL, O_NONBLOCK);
  child.output = ends[0];
  ++left_;
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

void Children::let_say_why(bool busy) {
  const auto now = std::chrono::steady_clock::now();
  if (!lost_) lost_ = now;
  if (now - *lost_ > std::chrono::seconds(1) && !busy) kill_all();
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
    if (pid <= 0) continue;
    int status = 0;
    const auto ended = waitpid(pid, &status, WNOHANG);
    if (ended == pid) note_end(i, status);
    // Somebody else has waited for it, so what it ended with is not known.
    if (ended < 0 && errno == ECHILD) note_end(i, W_EXITCODE(static_cast<int>(ErrorKind::distributed), 0));
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
