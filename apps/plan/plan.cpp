// antiphon plan FILE --gpus N: what each process of a run would hold and send.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/log.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>
#include <antiphon/run/mesh_of.h>
#include <antiphon/run/plan.h>
#include <common/command.h>

#include <algorithm>
#include <map>

namespace antiphon::apps {
namespace {

// MiB of memory, as their driver reports it.
const std::map<std::string, double> kGpus{{"a100", 81920},  {"a100-40", 40960}, {"h100", 81559}, {"h200", 143771},
                                          {"b200", 183359}, {"l40s", 46068},    {"l4", 23034},   {"rtx4090", 24564}};
constexpr double kOfLibraries = 2 << 10;  // MiB: the CUDA context, its libraries' and NCCL's own memory

struct PlanFlags {
  run::OpenOptions open;
  int gpus = 1;
  std::string gpu = "h100";
  bool json = false;
};

double bytes(int64_t of) { return static_cast<double>(of); }

std::string role_of(const parallel::Mesh& mesh, int rank) {
  if (mesh.block_size() == 1) return "all";
  const int number = mesh.number_of(rank);
  const auto of_stage = fmt::format("{} of {}", number % (mesh.experts * mesh.slices()), mesh.experts * mesh.slices());
  if (mesh.stages == 1) return "part " + of_stage;
  return fmt::format("stage {} of {}{}", mesh.stage_of(rank), mesh.stages,
                     mesh.block_size() > mesh.stages ? ", part " + of_stage : "");
}

void print_row(const std::string& rank, const std::string& role, const std::vector<std::string>& values) {
  fmt::print("  {:>7}  {:<24}", rank, role);
  for (const auto& value : values) fmt::print(" {:>10}", value);
  fmt::print("\n");
}

void print_memory(const std::vector<run::PlannedProcess>& plans, const parallel::Mesh& mesh) {
  print_row("PROCESS", "WHAT", {"TRAINED", "FROZEN", "OPTIMIZER", "GRADIENTS", "ON HOST", "WORKING", "MOST"});
  for (const auto& plan : plans) {
    std::vector<std::string> values;
    for (const auto value :
         {plan.trained, plan.frozen, plan.optimizer, plan.gradients, plan.host, plan.working(), plan.most})
      values.push_back(human_bytes(bytes(value)));
    print_row(std::to_string(plan.rank), role_of(mesh, plan.rank), values);
  }
}

void print_sent(const run::PlannedProcess& plan) {
  if (plan.sent.empty()) return;
  fmt::print("  process {} sends in a step:\n", plan.rank);
  int64_t all = 0;
  for (const auto& [name, sent] : plan.sent) {
    fmt::print("    {:<24} {:>8} x {:>12}\n", name, sent.calls, human_bytes(bytes(sent.bytes)));
    all += sent.bytes;
  }
  fmt::print("    {:<24} {:>8}   {:>12}\n", "all", "", human_bytes(bytes(all)));
}

void print_json(const std::vector<run::PlannedProcess>& plans, double left) {
  auto list = nlohmann::ordered_json::array();
  for (const auto& plan : plans) {
    auto sent = nlohmann::ordered_json::object();
    for (const auto& [name, of] : plan.sent) sent[name] = {{"calls", of.calls}, {"bytes", of.bytes}};
    list.push_back({{"rank", plan.rank},
                    {"trained", plan.trained},
                    {"frozen", plan.frozen},
                    {"optimizer", plan.optimizer},
                    {"gradients", plan.gradients},
                    {"host", plan.host},
                    {"working", plan.working()},
                    {"most", plan.most},
                    {"sent", sent}});
  }
  fmt::print("{}\n", nlohmann::ordered_json{{"processes", list}, {"left", static_cast<int64_t>(left)}}.dump(2));
}

int plan(const PlanFlags& flags) {
  const auto config = run::read_config(flags.open.file, flags.open.sets, flags.open.stage);
  const auto mesh = run::mesh_of(config.parallel, flags.gpus);
  std::vector<run::PlannedProcess> plans;
  log::set_level(log::Level::warning);
  for (const int rank : run::ranks_to_plan(mesh, !config.parallel.layers_per_stage.empty()))
    plans.push_back(run::plan_process(flags.open, rank, flags.gpus));
  const auto most = std::ranges::max_element(plans, {}, &run::PlannedProcess::most);
  constexpr double kMiB = 1 << 20;
  const double left = (kGpus.at(flags.gpu) - kOfLibraries) * kMiB - bytes(most->most);
  if (flags.json) {
    print_json(plans, left);
  } else {
    fmt::print("{}: {} processes, {} batches of at most {} tokens a step\n", shown(flags.open.file), flags.gpus,
               config.train.accumulate, config.train.tokens_per_batch);
    print_memory(plans, mesh);
    fmt::print("  {}: {}, of which {} for CUDA and its libraries; {}\n", flags.gpu,
               human_bytes(kGpus.at(flags.gpu) * kMiB), human_bytes(kOfLibraries * kMiB),
               left >= 0 ? human_bytes(left) + " are left" : human_bytes(-left) + " are missing");
    for (const auto& plan : plans) print_sent(plan);
  }
  if (left >= 0) return 0;
  fail(ErrorKind::memory, fmt::format("process {} needs {}", most->rank, human_bytes(bytes(most->most))),
       "raise parallel.fsdp, tensor or pipeline, set train.recompute = \"full\", or lower train.tokens_per_batch");
}

}  // namespace

void add_plan(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand(
      "plan", "say what each process of a run would hold and send, without a GPU and without weights");
  auto flags = std::make_shared<PlanFlags>();
  command->add_option("file", flags->open.file, "a TOML configuration, or the folder of a run")->required();
  command->add_option("--set", flags->open.sets, "override one value: --set parallel.fsdp=8 (may be repeated)")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  command->add_option("--stage", flags->open.stage, "of a file with [[stage]]: which; default: the last");
  command->add_option("--gpus", flags->gpus, "processes, each with a GPU of its own")
      ->check(within(1, 65536))
      ->capture_default_str();
  std::vector<std::string> names;
  for (const auto& [name, memory] : kGpus) names.push_back(name);
  command->add_option("--gpu", flags->gpu, "which GPU, for the memory that it has: " + join(names, ", "))
      ->check(CLI::IsMember(names))
      ->capture_default_str();
  command->add_flag("--json", flags->json, "print numbers of bytes as JSON");
  command->callback([flags, &action] { action = [flags] { return plan(*flags); }; });
}

}  // namespace antiphon::apps
