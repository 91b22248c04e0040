// antiphon fit FILE: the largest batches that training has memory for, by training with them.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/log.h>
#include <antiphon/base/signals.h>
#include <antiphon/base/standard_streams.h>
#include <antiphon/base/strings.h>
#include <antiphon/data/prepare.h>
#include <antiphon/early/cpu_quota.h>
#include <antiphon/run/composition.h>
#include <antiphon/run/memory_limit.h>
#include <antiphon/run/mesh_of.h>
#include <antiphon/run/training_slots.h>
#include <common/command.h>
#include <data/sources.h>
#include <fit/attempt.h>
#include <launch/children.h>

#include <algorithm>
#include <cmath>

namespace antiphon::apps {
namespace {

constexpr double kGiB = 1 << 30;
constexpr double kLeftFree = 0.05;    // of free memory, for what is measured nowhere
constexpr double kLongest = 0.1;      // share of the samples that are tried with
constexpr double kPrecision = 0.125;  // of the size that is found

struct FitFlags {
  run::OpenOptions open;
  double memory = 0, stall_seconds = 60;
  int processes = 0;
  int64_t samples = 1000, most = 65536;
  bool json = false;
};

int64_t in_multiples(int64_t tokens) {
  return (tokens + data::kPackMultiple - 1) / data::kPackMultiple * data::kPackMultiple;
}

// Tokens of samples of the training set, media included, ascending.
std::vector<int64_t> lengths_of(const FitFlags& flags) {
  const run::Composition composition(flags.open.file, flags.open.sets, flags.open.stage);
  const Reader reader(composition);
  auto sources = reader.sources();
  std::erase_if(sources, [](const Source& source) { return source.set != "train"; });
  constexpr int64_t kAnyLength = int64_t{1} << 40;
  for (auto& source : sources) source.examine.tokens_per_batch = kAnyLength;
  std::vector<int64_t> lengths;
  const int threads = flags.open.threads > 0 ? flags.open.threads : early::processors();
  for (const auto& source : check_sources(sources, flags.samples, threads))
    for (const auto& sample : source.samples)
      if (sample.reason.empty() && !sample.left_out) lengths.push_back(sample.tokens);
  if (lengths.empty())
    fail(ErrorKind::data, "no sample of the training set is good",
         "`antiphon data check` says what is wrong with them");
  std::ranges::sort(lengths);
  return lengths;
}

// Doubles or halves from `begin` on until one size fits and one does not, then tries those between.
std::vector<Attempt> search(const Attempts& of, int64_t begin, int64_t least, int64_t most) {
  std::vector<Attempt> tries;
  int64_t good = 0, bad = 0;
  const auto attempt = [&](int64_t tokens) {
    log::info(fmt::format("trying {} tokens a batch", tokens));
    tries.push_back(attempted(of, tokens));
    (tries.back().fits ? good : bad) = tokens;
  };
  attempt(begin);
  while (good && !bad && good < most) attempt(std::min(most, 2 * good));
  while (bad && !good && bad > least) attempt(std::max(least, in_multiples(bad / 2)));
  while (good && bad) {
    const auto step =
        std::max<int64_t>(data::kPackMultiple, static_cast<int64_t>(kPrecision * static_cast<double>(good)));
    const auto middle = in_multiples((good + bad) / 2);
    if (bad - good <= step || middle >= bad) break;
    attempt(middle);
  }
  return tries;
}

nlohmann::ordered_json whole(const std::optional<double>& bytes) {
  return bytes ? nlohmann::ordered_json(static_cast<int64_t>(*bytes)) : nlohmann::ordered_json(nullptr);
}

std::string text_of(const std::optional<double>& bytes) { return bytes ? human_bytes(*bytes) : "-"; }

nlohmann::ordered_json as_json(const std::vector<Attempt>& tries, const run::MemoryLimit& limit, int64_t longest,
                               int64_t best, int processes) {
  auto list = nlohmann::ordered_json::array();
  for (const auto& one : tries) {
    auto& entry = list.emplace_back(nlohmann::ordered_json{{"tokens_per_batch", one.tokens}, {"fits", one.fits}});
    entry["peak_bytes"] = whole(one.peak);
    if (processes > 1) {
      entry["process"] = one.process;
      entry["process_bytes"] = whole(one.of_process);
    }
    if (one.fits) entry["tokens_per_second"] = one.tokens_per_second;
    if (!one.fits) entry["why"] = one.why;
  }
  return {{"limit_bytes", std::isfinite(limit.bytes) ? nlohmann::ordered_json(static_cast<int64_t>(limit.bytes))
                                                     : nlohmann::ordered_json(nullptr)},
          {"limit", limit.reason},
          {"processes", processes},
          {"longest_sample", longest},
          {"tries", list},
          {"tokens_per_batch", best}};
}

void print_table(const std::vector<Attempt>& tries, int processes) {
  fmt::print("{:>12} {:>12} {:>12}{}\n", "TOKENS", "MOST MEMORY", "TOKENS/S", processes > 1 ? "  LEAST ROOM" : "");
  for (const auto& one : tries)
    fmt::print("{:>12} {:>12} {:>12}{}\n", one.tokens, text_of(one.peak),
               one.fits ? fmt::format("{:.0f}", one.tokens_per_second) : one.why,
               processes > 1 ? fmt::format("  process {}: {}", one.process, text_of(one.of_process)) : "");
}

run::MemoryLimit limit_of(const FitFlags& flags) {
  if (flags.memory > 0) return {flags.memory * kGiB, "--memory"};
  if (flags.open.device != "cpu") return {HUGE_VAL, "the memory of each GPU"};
  auto limit = run::memory_limit();
  limit.bytes *= 1 - kLeftFree;
  limit.reason = fmt::format("{}, of which {:.0f} % stay free", limit.reason, 100 * kLeftFree);
  return limit;
}

// As many as were asked for, or as few as the file's mesh has.
int processes_of(const FitFlags& flags, const run::RunConfig& config) {
  const int64_t count = flags.processes > 0 ? flags.processes : run::least_processes(config.parallel);
  if (count > kMostProcesses)
    fail(ErrorKind::config,
         fmt::format("[parallel] takes {} processes; fit starts at most {} on this machine", count, kMostProcesses),
         "`antiphon plan` says without them what each holds");
  run::mesh_of(config.parallel, static_cast<int>(count));
  return static_cast<int>(count);
}

// Answers that a model writes in a few steps are not as long as they may become.
void check_learns_from_data(const run::RunConfig& config) {
  auto objective = config.objective;
  if (!run::build_objective(objective)->needs().written) return;
  fail(ErrorKind::config,
       fmt::format("the objective '{}' learns from what the model writes, and how long that becomes no try can show",
                   config.objective.plugin),
       "`antiphon plan` says what a batch takes whose answers are at their longest");
}

int fit(FitFlags flags) {
  const auto stages = run::stages_of_file(flags.open.file);
  if (flags.open.stage.empty() && !stages.empty()) flags.open.stage = stages.back();
  const auto config = run::read_config(flags.open.file, flags.open.sets, flags.open.stage);
  const int processes = processes_of(flags, config);
  check_learns_from_data(config);
  const auto lengths = lengths_of(flags);
  const auto limit = limit_of(flags);
  const int64_t longest = lengths.back(), least = in_multiples(longest), most = std::max(least, flags.most);
  const auto rank = static_cast<size_t>((1 - kLongest) * static_cast<double>(lengths.size()));
  const Attempts of{flags.open,
                    limit.bytes,
                    lengths[std::min(rank, lengths.size() - 1)],
                    config.train.checkpoint_every < config.train.steps,
                    processes,
                    flags.stall_seconds};
  log::info(fmt::format("the longest of {} samples has {} tokens; tried with those of {} and more", lengths.size(),
                        longest, of.least_tokens));
  const auto tries = search(of, std::clamp(in_multiples(config.train.tokens_per_batch), least, most), least, most);
  int64_t best = 0;
  for (const auto& one : tries)
    if (one.fits) best = std::max(best, one.tokens);
  if (flags.json) {
    fmt::print("{}\n", as_json(tries, limit, longest, best, processes).dump(2));
  } else {
    if (std::isfinite(limit.bytes)) fmt::print("limit: {} ({})\n", human_bytes(limit.bytes), limit.reason);
    print_table(tries, processes);
    if (best)
      fmt::print("for [train]{}:\ntokens_per_batch = {}\n", best == most ? " (--most, more may fit)" : "", best);
  }
  push_stdout();
  if (best) return 0;
  fail(ErrorKind::memory, fmt::format("not even {} tokens, the longest sample, fit", least),
       "set train.recompute = \"full\", lower train.logits_chunk, leave out long samples with data.filter.max_tokens, "
       "or "
       "take a smaller model");
}

}  // namespace

void add_fit(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand(
      "fit", "find the largest train.tokens_per_batch that fits into memory, by training some steps with each");
  auto flags = std::make_shared<FitFlags>();
  add_open_options(*command, flags->open);
  command->add_option("--stage", flags->open.stage, "of a file with [[stage]]: which; default: the last");
  command
      ->add_option("--memory", flags->memory,
                   "GiB that training may take, of the host with all its processes or of each GPU; 0: what is free, or "
                   "the GPU's")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  command
      ->add_option("--procs", flags->processes,
                   "processes on this machine that train together; 0: as few as [parallel] takes")
      ->check(within(0, kMostProcesses))
      ->capture_default_str();
  command
      ->add_option("--stall", flags->stall_seconds,
                   "seconds without any progress after which a size counts as one that does not fit; ten times as many "
                   "before the first step is done and while something is loaded or written")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--most", flags->most, "tokens a batch that are tried at most")
      ->check(within(16, 1 << 24))
      ->capture_default_str();
  command->add_option("--samples", flags->samples, "of each source, whose lengths are looked at; 0: all")
      ->check(at_least(0))
      ->capture_default_str();
  command->add_flag("--json", flags->json, "print JSON");
  command->callback([flags, &action] {
    install_stop_signals();
    action = [flags] { return fit(*flags); };
  });
}

}  // namespace antiphon::apps
