// `antiphon launch` without LibTorch, as a program of its own: it starts processes and watches them, and computes
// nothing. What each of its processes says is the whole program's.
#include <new>

#include <antiphon/base/standard_streams.h>
#include <common/command.h>
#include <common/outcome.h>

int main(int argc, char** argv) {
  using namespace antiphon;
  open_standard_streams();
  CLI::App program;
  bool debug = false;
  apps::prepare(program, debug);
  apps::Action action;
  apps::add_launch(program, action);
  const auto out_of_memory = [](const std::exception& error) {
    return dynamic_cast<const std::bad_alloc*>(&error) != nullptr;
  };
  const int code =
      apps::outcome_of([&] { return apps::run_chosen(program, action, argc, argv, debug); }, debug, out_of_memory);
  const int written = apps::outcome_of([] { return flush_stdout(), 0; }, debug, out_of_memory);
  return code ? code : written;
}
