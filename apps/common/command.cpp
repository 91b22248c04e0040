#include <common/command.h>

namespace antiphon::apps {

void add_session_flags(CLI::App& command, SessionFlags& flags) {
  command.add_option("file", flags.file, "a TOML configuration, or the folder of a run")->required();
  command.add_option("--set", flags.sets, "override one value: --set train.steps=10 (may be repeated)")->type_name("KEY=VALUE")->allow_extra_args(false);
  command.add_option("--device", flags.device, "cpu, cuda or cuda:N")->capture_default_str();
  command.add_option("--threads", flags.threads, "threads for computing; 0: all cores")->capture_default_str();
}

}  // namespace antiphon::apps
