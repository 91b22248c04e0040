#include <common/command.h>

#include <fmt/format.h>

#include <antiphon/base/log.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/standard_streams.h>
#include <antiphon/base/strings.h>
#include <antiphon/early/stop_signals.h>
#include <common/outcome.h>

#include <cstdlib>
#include <limits>
#include <sstream>

namespace antiphon::apps {
namespace {

std::string first_word(int argc, char** argv) {
  for (int i = 1; i < argc; ++i)
    if (argv[i][0] != '-') return argv[i];
  return {};
}

}  // namespace

int report_usage(const CLI::App& program, const CLI::ParseError& error, int argc, char** argv) {
  if (error.get_exit_code() == 0) {  // help, version
    std::ostringstream text;
    program.exit(error, text);
    fmt::print("{}", text.str());
    return 0;
  }
  std::vector<std::string> verbs;
  for (const auto* command : program.get_subcommands([](const CLI::App*) { return true; }))
    verbs.push_back(command->get_name());
  const auto word = first_word(argc, argv);
  const bool known = std::find(verbs.begin(), verbs.end(), word) != verbs.end();
  if (known) {
    log::error(fmt::format("{}: {}\n  fix: see `antiphon {} --help`", word, error.what(), word));
  } else if (word.empty()) {
    log::error(fmt::format("no command is given; there are: {}\n  fix: see `antiphon --help`", join(verbs, ", ")));
  } else {
    const auto near = nearest(word, verbs);
    log::error(fmt::format("there is no command '{}'{}; there are: {}\n  fix: see `antiphon --help`", word,
                           near.empty() ? "" : "; did you mean '" + near + "'?", join(verbs, ", ")));
  }
  return static_cast<int>(ErrorKind::config);
}

void prepare(CLI::App& program, bool& debug) {
  program.name("antiphon")->description("Antiphon: audio-visual language models, composed from plugins by TOML.");
  program.set_version_flag("--version", "antiphon " ANTIPHON_VERSION);
  program.require_subcommand(1);
  program.fallthrough();
  program.add_flag("--debug", debug, "say more, and show the text of libraries");
}

namespace {

int parse_and_run(CLI::App& program, const Action& action, int argc, char** argv, const bool& debug) {
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return report_usage(program, error, argc, argv);
  }
  early::release_stop_signals();  // `antiphon` held them; a command that takes them has its handlers now
  if (debug) log::set_level(log::Level::debug);
  check_thread_variables();
  return action();
}

}  // namespace

int run_program(CLI::App& program, const Action& action, int argc, char** argv, const bool& debug,
                bool (*out_of_memory)(const std::exception&)) {
  expect_no_memory();
  const int code = outcome_of([&] { return parse_and_run(program, action, argc, argv, debug); }, debug, out_of_memory);
  const int written = outcome_of([] { return flush_stdout(), 0; }, debug, out_of_memory);
  return code ? code : written;
}

CLI::Validator within(int64_t least, int64_t most) {
  return CLI::Validator(
      [=](const std::string& text) {
        int64_t value = 0;
        if (!CLI::detail::lexical_cast(text, value)) return "must be a whole number, got '" + text + "'";
        if (value < least) return fmt::format("must be at least {}, got {}", least, value);
        return value > most ? fmt::format("must be at most {}, got {}", most, value) : std::string();
      },
      "");
}

CLI::Validator at_least(int64_t least) { return within(least, std::numeric_limits<int64_t>::max()); }

void check_thread_variables() {
  for (const char* name : {"OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"}) {
    const char* value = std::getenv(name);
    if (!value || std::strtoll(value, nullptr, 10) <= kMaxThreads) continue;
    fail(ErrorKind::config, fmt::format("{}={} asks for too many threads; at most {}", name, shown(value), kMaxThreads),
         "unset it: --threads says how many to use");
  }
}

void add_open_options(CLI::App& command, run::OpenOptions& flags) {
  command.add_option("file", flags.file, "a TOML configuration, the folder of a run, or a model's directory")
      ->required();
  command.add_option("--set", flags.sets, "override one value: --set train.steps=10 (may be repeated)")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  command.add_option("--device", flags.device, "cpu, cuda or cuda:N")->capture_default_str();
  command.add_option("--threads", flags.threads, "threads for computing; 0: all cores")
      ->check(within(0, kMaxThreads))
      ->capture_default_str();
}

void add_adapter_flag(CLI::App& command, run::OpenOptions& flags) {
  command.add_option("--adapter", flags.adapters,
                     "methods of fine-tuning to use, by their names with commas between them, or none; default: all. "
                     "NAME=WEIGHT: so much of it");
  command
      .add_option("--combine", flags.combine,
                  "with weights: cat: the sum of what adapters change; linear: A and B are the sums of theirs")
      ->check(CLI::IsMember({"cat", "linear"}));
}

void add_checkpoint_flag(CLI::App& command, run::OpenOptions& flags) {
  command.add_option("--checkpoint", flags.checkpoint,
                     "trained parameters: a run folder or one checkpoint; default: those of the run, if FILE is one");
}

}  // namespace antiphon::apps
