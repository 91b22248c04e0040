#include <common/outcome.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/log.h>
#include <antiphon/base/progress.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/standard_streams.h>

#include <cstdio>
#include <filesystem>
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

// Text of a library is for developers; a user gets one sentence.
int tell_foreign(const std::exception& error, bool debug, bool out_of_memory) {
  finish_progress();
  if (out_of_memory) {
    log::error(
        "out of memory\n  fix: lower train.tokens_per_batch (`antiphon fit` finds the largest that fits) or "
        "eval.batch_size, or use a smaller model");
    return static_cast<int>(ErrorKind::memory);
  }
  log::error(debug ? fmt::format("internal error: {}", error.what())
                   : "internal error: something failed that should not\n  fix: run the command again with --debug and "
                     "report what it prints");
  return static_cast<int>(ErrorKind::internal);
}

}  // namespace

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
