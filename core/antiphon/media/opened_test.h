// For tests: what the process opens while an object lives. Linux's seccomp stops each call that opens a file or makes a
// socket, whoever makes it; the handler of its signal notes the call and lets it go on. From the first object on this
// holds as long as the process: a program that is started then has no handler, and dies when it opens its libraries.
#pragma once
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace antiphon::media {

// What a call is given, and where its result goes.
class StoppedCall {
 public:
  explicit StoppedCall(void* context) : machine_(static_cast<ucontext_t*>(context)->uc_mcontext) {}
#if defined(__x86_64__)
  auto given(size_t i) const { return machine_.gregs[std::array{REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8}.at(i)]; }
  void give(int64_t result) { machine_.gregs[REG_RAX] = result; }
#elif defined(__aarch64__)
  auto given(size_t i) const { return machine_.regs[i]; }
  void give(int64_t result) { machine_.regs[0] = static_cast<uint64_t>(result); }
#else
#error "add the registers of this processor's system calls"
#endif

 private:
  mcontext_t& machine_;
};

// One at a time.
class Opened {
 public:
  Opened() {
    unwatched();
    end_ = 0;
  }
  Opened(const Opened&) = delete;

  // Why nothing is seen, such as that a sandbox refuses seccomp; empty if all is.
  static const std::string& unwatched() {
    static const std::string why = watch();
    return why;
  }
  // Paths and "a socket", in order; without the files that say how many processors there are.
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (std::string_view rest(text_.data(), end_); !rest.empty(); rest.remove_prefix(names.back().size() + 1))
      names.emplace_back(rest.substr(0, rest.find('\0')));
    return names;
  }

 private:
  static constexpr uint32_t kLetGo = 0x4f70656e;  // the sixth argument of the handler's own calls; these have fewer
  static constexpr std::array kByPath{
#ifdef __NR_open
      __NR_open, __NR_creat,
#endif
      __NR_openat, __NR_openat2};
  static constexpr std::array kOthers{__NR_socket, __NR_socketpair, __NR_connect, __NR_open_by_handle_at,
                                      __NR_io_uring_setup};
  static inline std::array<char, 1 << 16> text_;  // names, each with a zero behind it
  static inline std::atomic<size_t> end_ = 0;
  static inline std::atomic_flag busy_;

  static bool is_of_processors(std::string_view path) {
    return path == "/proc/self/cgroup" || path == "/proc/self/mountinfo" || path.starts_with("/sys/fs/cgroup/") ||
           path.starts_with("/sys/devices/system/cpu/");
  }

  static void note(std::string_view name) {
    if (is_of_processors(name)) return;
    while (busy_.test_and_set()) continue;
    if (const size_t end = end_; end + name.size() < text_.size()) {
      std::memcpy(text_.data() + end, name.data(), name.size());
      text_[end + name.size()] = '\0';
      end_ = end + name.size() + 1;
    }
    busy_.clear();
  }

  static std::string_view name_of(int number, const StoppedCall& call) {
    if (std::ranges::find(kOthers, number) != kOthers.end()) return "a socket";
    const bool at_folder = number == __NR_openat || number == __NR_openat2;
    const auto* path = reinterpret_cast<const char*>(call.given(at_folder ? 1 : 0));
    return path ? path : "no path";
  }

  static void on_call(int, siginfo_t* info, void* context) {
    const int before = errno;
    StoppedCall call(context);
    note(name_of(info->si_syscall, call));
    const auto result =
        ::syscall(info->si_syscall, call.given(0), call.given(1), call.given(2), call.given(3), call.given(4), kLetGo);
    call.give(result < 0 ? -errno : result);
    errno = before;
  }

  static std::string watch() {
#ifdef __SANITIZE_ADDRESS__
    return "AddressSanitizer looks for leaks with all signals blocked, that of seccomp too";
#endif
    ::tzset();  // else the first that asks for a time reads the zone
    struct sigaction action {};
    action.sa_sigaction = on_call, action.sa_flags = SA_SIGINFO;
    std::vector<sock_filter> filter{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[5])),
                                    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kLetGo, 0, 1),
                                    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
                                    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
    const auto stop = [&](int number) {
      filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(number), 0, 1));
      filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP));
    };
    for (const int number : kByPath) stop(number);
    for (const int number : kOthers) stop(number);
    filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
    if (::sigaction(SIGSYS, &action, nullptr) != 0 || ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
      return std::string("seccomp: ") + std::strerror(errno);
    const auto failed = ::syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
    if (failed > 0) return "seccomp: a thread has a filter of its own";
    return failed == 0 ? "" : std::string("seccomp: ") + std::strerror(errno);
  }
};

}  // namespace antiphon::media
