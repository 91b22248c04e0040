#include "speaking.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string_view>

#include <espeak-ng/speak_lib.h>

namespace antiphon::espeak {
namespace {

enum Ending { kSaid = 0, kNoLibrary = 10, kNoVoice = 11, kFailed = 12 };

int out = -1;  // in the process that speaks

void put(const void* bytes, size_t size) {
  for (const auto* at = static_cast<const char*>(bytes); size > 0;) {
    const ssize_t n = ::write(out, at, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) ::_exit(kFailed);
    at += n, size -= static_cast<size_t>(n);
  }
}

int take(short* samples, int count, espeak_EVENT*) {
  if (samples && count > 0) put(samples, static_cast<size_t>(count) * sizeof(short));
  return 0;
}

// The rate, then the samples.
[[noreturn]] void speak(const std::string& text, const Voice& voice) {
  const int32_t rate = espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 0, nullptr, espeakINITIALIZE_DONT_EXIT);
  if (rate <= 0) ::_exit(kNoLibrary);
  if (espeak_SetVoiceByName(voice.name.c_str()) != EE_OK) ::_exit(kNoVoice);
  put(&rate, sizeof(rate));
  espeak_SetParameter(espeakRATE, static_cast<int>(voice.words_per_minute), 0);
  espeak_SetParameter(espeakPITCH, static_cast<int>(voice.pitch), 0);
  espeak_SetParameter(espeakRANGE, static_cast<int>(voice.pitch_range), 0);
  espeak_SetSynthCallback(take);
  const auto done =
      espeak_Synth(text.c_str(), text.size() + 1, 0, POS_CHARACTER, 0, espeakCHARS_UTF8, nullptr, nullptr);
  ::_exit(done == EE_OK && espeak_Synchronize() == EE_OK ? kSaid : kFailed);
}

// All that comes; false if it takes too long or is too much.
bool read_all(int in, std::string& bytes) {
  constexpr auto kPatience = std::chrono::seconds(60);
  constexpr size_t kMost = 256 << 20;
  const auto end = std::chrono::steady_clock::now() + kPatience;
  char block[65536];
  while (bytes.size() <= kMost) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    pollfd wait{in, POLLIN, 0};
    const int ready = left.count() > 0 ? ::poll(&wait, 1, static_cast<int>(left.count())) : 0;
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return false;
    const ssize_t n = ::read(in, block, sizeof(block));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return n == 0;
    bytes.append(block, static_cast<size_t>(n));
  }
  return false;
}

int ended(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  return WIFEXITED(status) ? WEXITSTATUS(status) : kFailed;
}

void check(int ending, const Voice& voice) {
  if (ending == kNoVoice)
    fail(ErrorKind::config, fmt::format("espeak has no voice '{}'", shown(voice.name)), "see `espeak-ng --voices`");
  if (ending == kNoLibrary)
    fail(ErrorKind::config, "espeak cannot begin: its data are missing", "install the package espeak-ng-data");
  if (ending != kSaid) fail(ErrorKind::data, "espeak failed on this text, or took more than a minute");
}

}  // namespace

Spoken spoken(const std::string& text, const Voice& voice) {
  int ends[2];
  if (::pipe(ends) != 0) fail(ErrorKind::internal, fmt::format("cannot open a pipe: {}", std::strerror(errno)));
  const pid_t child = ::fork();
  if (child < 0) fail(ErrorKind::internal, fmt::format("cannot start a process: {}", std::strerror(errno)));
  if (child == 0) {
    ::close(ends[0]);
    out = ends[1];
    speak(text, voice);
  }
  ::close(ends[1]);
  std::string bytes;
  const bool whole = read_all(ends[0], bytes);
  ::close(ends[0]);
  if (!whole) ::kill(child, SIGKILL);
  const int ending = ended(child);
  check(whole ? ending : kFailed, voice);
  Spoken result;
  int32_t rate = 0;
  if (bytes.size() < sizeof(rate)) fail(ErrorKind::data, "espeak said nothing");
  std::memcpy(&rate, bytes.data(), sizeof(rate));
  result.sample_rate = rate;
  result.samples.resize((bytes.size() - sizeof(rate)) / sizeof(int16_t));
  std::memcpy(result.samples.data(), bytes.data() + sizeof(rate), result.samples.size() * sizeof(int16_t));
  return result;
}

}  // namespace antiphon::espeak
