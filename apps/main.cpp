// The program `antiphon`. Results go to stdout, everything else to stderr; exit codes are those of ErrorKind.
#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include <antiphon/base/error.h>
#include <antiphon/base/heap.h>
#include <antiphon/base/log.h>
#include <antiphon/base/progress.h>
#include <common/command.h>

namespace {

using namespace antiphon;

int report(const Error& error) {
  finish_progress();
  log::error(fmt::format("{}: {}", to_string(error.kind()), error.what()));
  return static_cast<int>(error.kind());
}

// Text of a library is for developers; a user gets one sentence.
int report_foreign(const std::exception& error, bool debug) {
  finish_progress();
  const bool memory = dynamic_cast<const std::bad_alloc*>(&error) || dynamic_cast<const c10::OutOfMemoryError*>(&error);
  if (memory) {
    log::error("out of memory\n  fix: lower train.tokens_per_batch or eval.batch_size, or use a smaller model");
    return static_cast<int>(ErrorKind::memory);
  }
  log::error(debug ? fmt::format("internal error: {}", error.what())
                   : "internal error: something failed that should not\n  fix: run the command again with --debug and "
                     "report what it prints");
  return static_cast<int>(ErrorKind::internal);
}

// At exit LibTorch takes its three thousand operators down one by one, which takes as long as most commands; nothing of
// ours is left to be done then.
int leave(int code) {
#if !defined(__SANITIZE_ADDRESS__)
  std::fflush(nullptr);
  ::_exit(code);
#endif
  return code;
}

int run(const apps::Action& action, bool debug) {
  try {
    return action();
  } catch (const Error& error) {
    return report(error);
  } catch (const std::exception& error) {
    return report_foreign(error, debug);
  }
}

void add_commands(CLI::App& program, apps::Action& action) {
  apps::add_train(program, action);
  apps::add_eval(program, action);
  apps::add_report(program, action);
  apps::add_generate(program, action);
  apps::add_chat(program, action);
  apps::add_merge(program, action);
  apps::add_export(program, action);
  apps::add_compose(program, action);
  apps::add_validate(program, action);
  apps::add_data(program, action);
  apps::add_inspect(program, action);
  apps::add_conformance(program, action);
  apps::add_doctor(program, action);
}

}  // namespace

int main(int argc, char** argv) {
  keep_freed_memory();
  CLI::App program("Antiphon: audio-visual language models, composed from plugins by TOML.");
  program.set_version_flag("--version", "antiphon " ANTIPHON_VERSION);
  program.require_subcommand(1);
  program.fallthrough();
  bool debug = false;
  program.add_flag("--debug", debug, "say more, and show the text of libraries");
  apps::Action action;
  add_commands(program, action);
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return leave(apps::report_usage(program, error, argc, argv));
  }
  if (debug) log::set_level(log::Level::debug);
  return leave(run(action, debug));
}
