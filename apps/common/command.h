// How a subcommand joins the program: each apps/<verb>/ defines one function that adds itself.
#pragma once
#include <CLI/CLI.hpp>

#include <functional>

#include <antiphon/base/error.h>
#include <antiphon/run/open_options.h>

namespace antiphon::apps {

// Set by the subcommand that was chosen; main runs it. The result is the exit code.
using Action = std::function<int()>;

void add_train(CLI::App& program, Action& action);
void add_launch(CLI::App& program, Action& action);
void add_eval(CLI::App& program, Action& action);
void add_report(CLI::App& program, Action& action);
void add_generate(CLI::App& program, Action& action);
void add_chat(CLI::App& program, Action& action);
void add_merge(CLI::App& program, Action& action);
void add_export(CLI::App& program, Action& action);
void add_compose(CLI::App& program, Action& action);
void add_validate(CLI::App& program, Action& action);
void add_plan(CLI::App& program, Action& action);
void add_fit(CLI::App& program, Action& action);
void add_data(CLI::App& program, Action& action);
void add_inspect(CLI::App& program, Action& action);
void add_conformance(CLI::App& program, Action& action);
void add_doctor(CLI::App& program, Action& action);

// What belongs to no command: the program's name, --version, --debug.
void prepare(CLI::App& program, bool& debug);

// Has the command line understood, runs what was chosen and sees to it that its result is written. Returns the exit
// code. `debug`: what --debug sets; `out_of_memory`: see outcome_of().
int run_program(CLI::App& program, const Action& action, int argc, char** argv, const bool& debug,
                bool (*out_of_memory)(const std::exception&));

// Prints one line and where to read on for a command line that is not understood, or the help or version that was asked
// for. Returns the exit code.
int report_usage(const CLI::App& program, const CLI::ParseError& error, int argc, char** argv);

// Checks of an option that takes a whole number: "must be at least 1, got 0".
CLI::Validator within(int64_t least, int64_t most);
CLI::Validator at_least(int64_t least);

// More threads than any machine has cores for; each takes memory and a place in the system's table.
constexpr int64_t kMaxThreads = 1024;
// Error(config) if an environment variable asks the libraries for more threads than that, which would end the process.
void check_thread_variables();

// FILE, --set, --device, --threads.
void add_open_options(CLI::App& command, run::OpenOptions& flags);
// --adapter and --combine, for run::choose_adapters().
void add_adapter_flag(CLI::App& command, run::OpenOptions& flags);
// --checkpoint, for run::load_trained().
void add_checkpoint_flag(CLI::App& command, run::OpenOptions& flags);

}  // namespace antiphon::apps
