#include <common/outcome.h>

#include <fmt/format.h>
#include <unistd.h>

#include <antiphon/base/error.h>
#include <antiphon/base/log.h>
#include <antiphon/base/progress.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/standard_streams.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <new>
#include <system_error>

namespace antiphon::apps {
namespace {

int tell(const Error& error) {
  finish_progress();
  log::error(fmt::format("{}: {}", to_string(error.kind()), error.what()));
  return static_cast<int>(error.kind());
}

// Of std::filesystem, std::thread and fmt::print().
Error in_our_words(const std::system_error& error) {
  const auto reason = error.code().message();
  if (const auto* file = dynamic_cast<const std::filesystem::filesystem_error*>(&error))
    return {ErrorKind::config, fmt::format("cannot use {}: {}", shown(file->path1().string()), reason),
            "check that the path is meant, and who may read and write there"};
  if (std::ferror(stdout) != 0) {
    std::clearerr(stdout);
    return stdout_error(error.code().value());
  }
  if (error.code() == std::errc::resource_unavailable_try_again || error.code() == std::errc::not_enough_memory)
    return {ErrorKind::memory, "a thread cannot be started: " + reason, "give fewer --threads, or raise `ulimit -u`"};
  return {ErrorKind::config, "the system refuses: " + reason};
}

constexpr std::string_view kOutOfMemory =
    "out of memory\n  fix: lower train.tokens_per_batch (`antiphon fit` finds the largest that fits) or "
    "eval.batch_size, or use a smaller model";

std::atomic<bool> wanted{false};  // memory that was not there
std::terminate_handler otherwise = nullptr;

void note_want() {
  wanted = true;
  std::set_new_handler(nullptr);  // so that std::bad_alloc is thrown next
}

bool is_want(const std::exception_ptr& error) try {
  if (error) std::rethrow_exception(error);
  return wanted;
} catch (const std::bad_alloc&) {
  return true;
} catch (...) {
  return false;
}

[[noreturn]] void end_for_want() {
  if (is_want(std::current_exception())) {
    for (const auto text : {std::string_view("error: "), kOutOfMemory, std::string_view("\n")})  // which takes none
      if (::write(STDERR_FILENO, text.data(), text.size()) < 0) break;
    ::_exit(static_cast<int>(ErrorKind::memory));
  }
  if (otherwise) otherwise();
  std::abort();
}

// Text of a library is for developers; a user gets one sentence.
int tell_foreign(const std::exception& error, bool debug, bool out_of_memory) {
  finish_progress();
  if (out_of_memory) {
    log::error(kOutOfMemory);
    return static_cast<int>(ErrorKind::memory);
  }
  log::error(debug ? fmt::format("internal error: {}", error.what())
                   : "internal error: something failed that should not\n  fix: run the command again with --debug and "
                     "report what it prints");
  return static_cast<int>(ErrorKind::internal);
}

}  // namespace

void expect_no_memory() {
  std::set_new_handler(note_want);
  otherwise = std::set_terminate(end_for_want);
}

int outcome_of(const std::function<int()>& body, const bool& debug, bool (*out_of_memory)(const std::exception&)) {
  try {
    return body();
  } catch (const Error& error) {
    return tell(error);
  } catch (const std::system_error& error) {
    return tell(in_our_words(error));
  } catch (const std::exception& error) {
    return tell_foreign(error, debug, out_of_memory(error));
  }
}

}  // namespace antiphon::apps
