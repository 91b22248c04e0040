#include <antiphon/parallel/schedule.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>

#include <algorithm>
#include <array>
#include <deque>
#include <optional>
#include <utility>

namespace antiphon::parallel {
namespace {

using Kind = Pass::Kind;

// The n-th forward (or backward) pass of a stage: of several chunks, groups of as many batches as there are stages go
// through one chunk after the other.
Pass nth(Kind kind, int n, const Pipeline& p) {
  if (p.chunks == 1) return {kind, n, 0};
  const int group = n / (p.stages * p.chunks), chunk = n / p.stages % p.chunks;
  return {kind, group * p.stages + n % p.stages, kind == Kind::forward ? chunk : p.chunks - 1 - chunk};
}

// `ahead`: how many forward passes before the first backward pass.
std::vector<Pass> one_by_one(const Pipeline& p, int ahead) {
  const int all = p.batches * p.chunks;
  ahead = std::min(ahead, all);
  std::vector<Pass> passes;
  int forward = 0, backward = 0;
  while (forward < ahead) passes.push_back(nth(Kind::forward, forward++, p));
  while (backward < all) {
    if (forward < all) passes.push_back(nth(Kind::forward, forward++, p));
    passes.push_back(nth(Kind::backward, backward++, p));
  }
  return passes;
}

// A stage keeps as many weights for later as it has stages before it: so long do those wait for the last gradient.
std::vector<Pass> with_weights(const std::vector<Pass>& passes, size_t later) {
  std::vector<Pass> all;
  std::deque<Pass> kept;
  const auto take = [&] {
    auto pass = kept.front();
    pass.kind = Kind::weights;
    kept.pop_front(), all.push_back(pass);
  };
  for (const auto& pass : passes) {
    all.push_back(pass);
    if (pass.kind != Kind::backward) continue;
    kept.push_back(pass);
    if (kept.size() > later) take();
  }
  while (!kept.empty()) take();
  return all;
}

}  // namespace

ScheduleKind schedule_of(const std::string& name) {
  if (name == "gpipe") return ScheduleKind::gpipe;
  if (name == "1f1b") return ScheduleKind::one_f_one_b;
  if (name == "interleaved") return ScheduleKind::interleaved;
  if (name == "zero_bubble") return ScheduleKind::zero_bubble;
  fail(ErrorKind::internal, "no schedule is called " + name);
}

std::vector<Pass> passes_of(ScheduleKind kind, const Pipeline& p, int stage) {
  const int after = p.stages - 1 - stage;
  switch (kind) {
    case ScheduleKind::gpipe: return one_by_one(p, p.stages > 1 ? p.batches * p.chunks : 0);
    case ScheduleKind::interleaved: return one_by_one(p, 2 * after + (p.chunks - 1) * p.stages);
    case ScheduleKind::zero_bubble: return with_weights(one_by_one(p, after), static_cast<size_t>(stage));
    default: return one_by_one(p, after);
  }
}

namespace {

struct Message {
  int batch = 0, range = 0;  // of the pass that takes it
  int64_t sent = 0;
};

// What goes from one stage to the next, or to the one before.
struct Lane {
  std::optional<Message> message;
  int64_t free_from = 0;
};

class Simulator {
 public:
  Simulator(const std::vector<std::vector<Pass>>& stages, const Pipeline& pipeline)
      : passes_(stages), p_(pipeline), stages_(stages.size()) {
    for (auto& done : done_)
      done.assign(static_cast<size_t>(p_.stages) * static_cast<size_t>(p_.chunks * p_.batches), false);
    for (size_t s = 0; s < stages.size(); ++s)
      stages_[s].splits = std::ranges::any_of(stages[s], [](const Pass& pass) { return pass.kind == Kind::weights; });
  }

  Simulation run() {
    for (bool moved = true; moved && result_.failure.empty();) {
      moved = false;
      for (int stage = 0; stage < p_.stages; ++stage)
        while (result_.failure.empty() && step(stage)) moved = true;
    }
    finish();
    return result_;
  }

 private:
  struct Stage {
    size_t next = 0;  // of its passes
    int64_t clock = 0, busy = 0;
    int waiting = 0, deferred = 0;
    bool splits = false;            // it has passes of weights
    std::optional<Message> unsent;  // it waits until the lane is free
    Lane* to = nullptr;
    Lane forward, backward;  // that it sends on
  };

  size_t place(const Pass& pass, int stage) const {
    return static_cast<size_t>((pass.batch * p_.chunks + pass.chunk) * p_.stages + stage);
  }
  std::vector<bool>& done(Kind kind) { return done_[static_cast<size_t>(kind)]; }

  // Whether the stage could send what it has, or do its next pass.
  bool step(int number) {
    auto& stage = stages_[static_cast<size_t>(number)];
    if (stage.unsent) return send(stage);
    const auto& passes = passes_[static_cast<size_t>(number)];
    return stage.next < passes.size() && may_be(number, passes[stage.next]) && compute(number, passes[stage.next]);
  }

  static bool send(Stage& stage) {
    auto& lane = *stage.to;
    if (lane.message) return false;
    stage.clock = std::max(stage.clock, lane.free_from);
    lane.message = std::exchange(stage.unsent, std::nullopt);
    lane.message->sent = stage.clock;
    return true;
  }

  bool may_be(int stage, const Pass& pass) {
    if (pass.batch < 0 || pass.batch >= p_.batches || pass.chunk < 0 || pass.chunk >= p_.chunks)
      return fail_at(stage, pass, "is none of the step");
    if (done(pass.kind)[place(pass, stage)]) return fail_at(stage, pass, "is done twice");
    const auto before = pass.kind == Kind::weights ? Kind::backward : Kind::forward;
    if (pass.kind != Kind::forward && !done(before)[place(pass, stage)])
      return fail_at(stage, pass, "comes before what it needs");
    return true;
  }

  bool compute(int number, const Pass& pass) {
    auto& stage = stages_[static_cast<size_t>(number)];
    const int range = pass.chunk * p_.stages + number, last = p_.stages * p_.chunks - 1;
    const int direction = pass.kind == Kind::forward ? 1 : -1;
    const bool exchanges = pass.kind != Kind::weights;
    if (exchanges && range != (direction > 0 ? 0 : last) && !take(number, pass, range, direction)) return false;
    const int64_t cost = pass.kind == Kind::backward && !stage.splits ? 2 : 1;
    stage.clock += cost, stage.busy += cost, ++stage.next;
    done(pass.kind)[place(pass, number)] = true;
    stage.waiting += pass.kind == Kind::weights ? 0 : direction;
    if (stage.splits) stage.deferred += pass.kind == Kind::weights ? -1 : pass.kind == Kind::backward ? 1 : 0;
    auto& waiting = result_.most_waiting[static_cast<size_t>(number)];
    auto& deferred = result_.most_deferred[static_cast<size_t>(number)];
    waiting = std::max(waiting, stage.waiting), deferred = std::max(deferred, stage.deferred);
    if (!exchanges || range == (direction > 0 ? last : 0)) return true;
    stage.to = direction > 0 ? &stage.forward : &stage.backward;
    stage.unsent = Message{pass.batch, range + direction, 0};
    return true;
  }

  bool take(int number, const Pass& pass, int range, int direction) {
    auto& sender = stages_[static_cast<size_t>((number - direction + p_.stages) % p_.stages)];
    auto& lane = direction > 0 ? sender.forward : sender.backward;
    if (!lane.message) return false;
    if (lane.message->batch != pass.batch || lane.message->range != range)
      return fail_at(number, pass, "gets another's values: they are sent in another order than they are received");
    auto& clock = stages_[static_cast<size_t>(number)].clock;
    clock = lane.free_from = std::max(clock, lane.message->sent);
    lane.message.reset();
    return true;
  }

  bool fail_at(int stage, const Pass& pass, const std::string& what) {
    constexpr std::array names{"forward pass", "backward pass", "pass of weights"};
    if (result_.failure.empty())
      result_.failure = fmt::format("stage {}: the {} of batch {}, chunk {} {}", stage,
                                    names[static_cast<size_t>(pass.kind)], pass.batch, pass.chunk, what);
    return false;
  }

  void finish() {
    for (int number = 0; number < p_.stages; ++number) {
      const auto& stage = stages_[static_cast<size_t>(number)];
      const auto& passes = passes_[static_cast<size_t>(number)];
      if (stage.next < passes.size()) fail_at(number, passes[stage.next], "waits for ever");
      for (int i = 0; i < p_.batches * p_.chunks; ++i) check_done(number, i / p_.chunks, i % p_.chunks);
      result_.time = std::max(result_.time, stage.clock);
    }
    for (const auto& stage : stages_) result_.idle += result_.time - stage.busy;
  }

  void check_done(int stage, int batch, int chunk) {
    for (const auto kind : {Kind::forward, Kind::backward, Kind::weights}) {
      const Pass pass{kind, batch, chunk};
      const bool wanted = kind != Kind::weights || stages_[static_cast<size_t>(stage)].splits;
      if (wanted && !done(kind)[place(pass, stage)]) fail_at(stage, pass, "is never done");
    }
  }

  const std::vector<std::vector<Pass>>& passes_;
  Pipeline p_;
  std::vector<Stage> stages_;
  std::array<std::vector<bool>, 3> done_;
  Simulation result_{.most_waiting = std::vector<int>(passes_.size(), 0),
                     .most_deferred = std::vector<int>(passes_.size(), 0)};
};

}  // namespace

Simulation simulated(const std::vector<std::vector<Pass>>& stages, const Pipeline& pipeline) {
  return Simulator(stages, pipeline).run();
}

}  // namespace antiphon::parallel
