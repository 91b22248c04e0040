// The program `antiphon`. Results go to stdout, everything else to stderr; exit codes are those of ErrorKind.
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <sstream>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/base/heap.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/standard_streams.h>
#include <antiphon/base/strings.h>
#include <antiphon/comm/out_of_memory.h>
#include <common/command.h>

namespace {

using namespace antiphon;

// At exit LibTorch takes its three thousand operators down one by one, which takes as long as most commands; nothing of
// ours is left to be done then.
int leave(int code) {
#if !defined(__SANITIZE_ADDRESS__)
  std::fflush(nullptr);
  ::_exit(code);
#endif
  return code;
}

void add_commands(CLI::App& program, apps::Action& action) {
  apps::add_train(program, action);
  apps::add_launch(program, action);
  apps::add_eval(program, action);
  apps::add_report(program, action);
  apps::add_generate(program, action);
  apps::add_chat(program, action);
  apps::add_merge(program, action);
  apps::add_export(program, action);
  apps::add_compose(program, action);
  apps::add_validate(program, action);
  apps::add_plan(program, action);
  apps::add_fit(program, action);
  apps::add_data(program, action);
  apps::add_inspect(program, action);
  apps::add_conformance(program, action);
  apps::add_doctor(program, action);
}

// Data sets may be thousands of files that stay open.
void allow_open_files() {
  rlimit limit{};
  constexpr rlim_t kMost = 1 << 16;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= kMost) return;
  limit.rlim_cur = std::min(limit.rlim_max, kMost);
  setrlimit(RLIMIT_NOFILE, &limit);
}

// The answer to a command line that asks for help, in the words of the program itself.
std::string help_of(CLI::App& program, const std::vector<std::string>& words) {
  std::vector<const char*> argv{"antiphon"};
  for (const auto& word : words) argv.push_back(word.c_str());
  argv.push_back("--help");
  std::ostringstream out, err;
  try {
    program.parse(static_cast<int>(argv.size()), argv.data());
  } catch (const CLI::ParseError& error) {
    program.exit(error, out, err);
  }
  return out.str();
}

// Written when the program is built, for the launcher, which prints it without loading LibTorch.
void keep_help(CLI::App& program, const CLI::App& of, const std::filesystem::path& folder,
               const std::vector<std::string>& words = {}) {
  make_folder(folder, ErrorKind::internal);
  write_file_atomic(folder / (join(words, "_") + "--help"), help_of(program, words), ErrorKind::internal);
  for (const auto* command : of.get_subcommands([](const CLI::App*) { return true; })) {
    auto inner = words;
    inner.push_back(command->get_name());
    keep_help(program, *command, folder, inner);
  }
}

}  // namespace

int main(int argc, char** argv) {
  open_standard_streams();
  keep_freed_memory();
  allow_open_files();
  CLI::App program;
  bool debug = false;
  apps::prepare(program, debug);
  apps::Action action;
  add_commands(program, action);
  if (argc == 3 && std::string_view(argv[1]) == "--keep-help") return keep_help(program, program, argv[2]), leave(0);
  return leave(apps::run_program(program, action, argc, argv, debug, comm::is_out_of_memory));
}
