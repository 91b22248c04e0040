// What a command is asked to open, and where.
#pragma once
#include <string>
#include <vector>

namespace antiphon::run {

struct OpenOptions {
  std::string file;               // a TOML file, a run folder or a model's directory
  std::vector<std::string> sets;  // --set a.b=c
  std::string device = "cpu";     // cpu, cuda, cuda:N
  bool shapes_only = false;       // on the meta device, to plan with (plan.h)
  int threads = 0;                // 0: all cores
  std::string checkpoint;         // --checkpoint, of the subcommands that have it
  std::string stage;              // of a file with [[stage]]; empty: the last
  std::string adapters;           // --adapter, of the subcommands that have it: names, "none"; empty: all
  std::string combine;            // --combine, of the same: "cat", "linear"; empty: cat, if there are weights

  bool weighs_adapters() const { return !combine.empty() || adapters.find('=') != std::string::npos; }
};

}  // namespace antiphon::run
