// `antiphon launch` without LibTorch, as a program of its own: it starts processes and watches them, and computes
// nothing. What each of its processes says is the whole program's.
#include <new>

#include <antiphon/base/standard_streams.h>
#include <common/command.h>

int main(int argc, char** argv) {
  using namespace antiphon;
  open_standard_streams();
  CLI::App program;
  bool debug = false;
  apps::prepare(program, debug);
  apps::Action action;
  apps::add_launch(program, action);
  return apps::run_program(program, action, argc, argv, debug, [](const std::exception& error) {
    return dynamic_cast<const std::bad_alloc*>(&error) != nullptr;
  });
}
