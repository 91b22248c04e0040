#include <antiphon/comm/group.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/log.h>
#include <antiphon/comm/nccl_table.h>
#include <antiphon/comm/wires.h>

#include <algorithm>
#include <functional>

namespace antiphon::comm {

namespace {

at::Tensor bytes_of(const at::Tensor& x) { return x.view(-1).view(at::kByte); }

// What was exchanged in the host's memory, to the tensor that it is for.
void put_back(const at::Tensor& reached, const at::Tensor& x) {
  if (!reached.is_same(x)) x.copy_(reached);
}

}  // namespace

Group::Group(const Place& place, c10::Device device) : place_(place), wires_(std::make_unique<Wires>(place, device)) {
  family_->groups.push_back(this);
  if (device.is_cpu()) return;
  const auto own = static_cast<int64_t>(std::hash<std::string>()(nccl_table().identity(device)));
  const auto all = at::empty({size()}, at::kLong);
  gather(at::tensor({own}, at::kLong).view({}), all);
  if (std::get<0>(at::_unique(all)).numel() == size())
    wires_->use_nccl(device);
  else
    log::warning("processes share a GPU, which NCCL cannot do: they exchange tensors through the host's memory");
}

Group::Group(const Place& place, std::unique_ptr<Wires> wires, std::string name, std::shared_ptr<Family> family)
    : place_(place), wires_(std::move(wires)), name_(std::move(name)), family_(std::move(family)) {
  family_->groups.push_back(this);
}

Group::~Group() { std::erase(family_->groups, this); }

std::vector<const Group*> Group::with_ledgers() const {
  std::vector<const Group*> groups;
  for (const auto* group : family_->groups)
    if (!group->sends_) groups.push_back(group);
  return groups;
}

std::unique_ptr<Group> Group::dry(int rank, int size) {
  Place place;
  place.rank = rank, place.size = size;
  return std::unique_ptr<Group>(new Group(place, nullptr, "all", std::make_shared<Family>()));
}

std::unique_ptr<Group> Group::subgroup(const std::string& name, const std::vector<int>& members) {
  auto place = place_;
  if (std::ranges::find(members, rank()) == members.end())
    fail(ErrorKind::internal, fmt::format("process {} is none of the subgroup {}", rank(), name));
  place.rank = static_cast<int>(std::ranges::find(members, rank()) - members.begin());
  place.size = static_cast<int>(members.size());
  place.name += fmt::format("/{}/{}", name, members.front());
  auto wires = wires_ ? std::make_unique<Wires>(place, *wires_) : nullptr;
  return std::unique_ptr<Group>(
      new Group(place, std::move(wires), name.substr(0, name.find_first_of("0123456789")), family_));
}

void Group::enter(const char* operation, const at::Tensor& x) {
  ledger_.note(operation, c10::toString(x.scalar_type()), {x.numel()});
}

void Group::count(const char* operation, int64_t bytes) {
  if (size() == 1) return;
  auto& sent = family_->sent[name_ + " " + operation];
  ++sent.calls, sent.bytes += bytes;
}

// The pieces of all processes together are the same everywhere.
void Group::enter_pieces(const char* operation, const std::vector<Pieces>& of_processes, size_t piece) {
  std::vector<int64_t> numbers;
  for (const auto& pieces : of_processes) numbers.push_back(pieces[piece].numel());
  ledger_.note(operation, c10::toString(of_processes.front()[piece].scalar_type()), numbers);
}

namespace {

// Of a dry group: what there is nothing to wait for.
void nothing() {}

}  // namespace

void Group::sum(const at::Tensor& x) { begin_sum(x)(); }

std::function<void()> Group::begin_sum(const at::Tensor& x) {
  enter("sum", x);
  const auto bytes = static_cast<int64_t>(x.nbytes());
  count("sum", 2 * (size() - 1) * bytes / size());
  if (!wires_) return nothing;
  std::vector<at::Tensor> all{wires_->reachable(x)};
  const auto work = wires_->guarded("sum", [&] { return wires_->backend(x).allreduce(all); });
  return [this, work, x, reached = all[0]] {
    wires_->wait("sum", {work});
    put_back(reached, x);
  };
}

void Group::largest(const at::Tensor& x) {
  enter("largest", x);
  count("largest", static_cast<int64_t>(x.nbytes()));
  if (!wires_) return;
  std::vector<at::Tensor> all{wires_->reachable(x)};
  c10d::AllreduceOptions options;
  options.reduceOp = c10d::ReduceOp::MAX;
  wires_->wait("largest", {wires_->guarded("largest", [&] { return wires_->backend(x).allreduce(all, options); })});
  put_back(all[0], x);
}

void Group::broadcast(const at::Tensor& x, int root) {
  enter("broadcast", x);
  count("broadcast", rank() == root ? static_cast<int64_t>(x.nbytes()) : 0);
  if (!wires_) return;
  std::vector<at::Tensor> all{wires_->reachable(x)};
  c10d::BroadcastOptions options;
  options.rootRank = root;
  wires_->wait("broadcast", {wires_->guarded("broadcast", [&] { return wires_->backend(x).broadcast(all, options); })});
  put_back(all[0], x);
}

namespace {

void dry_swap(const std::vector<Pieces>& to, const std::vector<Pieces>& from, int own) {
  for (size_t i = 0; i < to.size(); ++i)
    for (size_t k = 0; i != static_cast<size_t>(own) && k < std::min(to[i].size(), from[i].size()); ++k)
      if (to[i][k].is_cpu() && to[i][k].sizes() == from[i][k].sizes()) from[i][k].copy_(to[i][k]);
}

}  // namespace

// Sends and receives pieces, each pair of processes at once; a piece without bytes is not sent. Gloo's own gather and
// reduce-scatter take two to four times as long (pytorch issue 118911). Each swap has a tag of its own, so that several
// may be under way.
std::function<void()> Group::begin_swap(const char* operation, const std::vector<Pieces>& to,
                                        const std::vector<Pieces>& from) {
  int64_t bytes = 0;
  for (int other = 0; other < size(); ++other)
    for (const auto& piece : to[static_cast<size_t>(other)])
      bytes += other == rank() ? 0 : static_cast<int64_t>(piece.nbytes());
  count(operation, bytes);
  if (!wires_) return dry_swap(to, from, rank()), nothing;
  constexpr uint32_t kTags = 1 << 30;
  const int tag = static_cast<int>(swaps_++ % kTags);
  Works works;
  std::vector<std::pair<at::Tensor, at::Tensor>> landed;  // in the host's memory, and for whom
  const auto move = [&](c10d::Backend& backend, const at::Tensor& piece, int peer, bool out) {
    if (piece.numel() == 0) return;
    const auto reached = wires_->reachable(piece);
    std::vector<at::Tensor> bytes{bytes_of(reached)};
    works.push_back(out ? backend.send(bytes, peer, tag) : backend.recv(bytes, peer, tag));
    if (!out && !reached.is_same(piece)) landed.emplace_back(reached, piece);
  };
  wires_->guarded(operation, [&] {
    if (to.front().empty() || size() == 1) return;
    const auto& any = to.front().front();
    auto& backend = wires_->backend(any);
    // NCCL carries out as one what would wait for each other one by one.
    const bool together = wires_->by_nccl(any);
    if (together) backend.startCoalescing();
    for (int step = 1; step < size(); ++step) {
      const int next = (rank() + step) % size(), last = (rank() - step + size()) % size();
      for (const auto& piece : from[static_cast<size_t>(last)]) move(backend, piece, last, /*out=*/false);
      for (const auto& piece : to[static_cast<size_t>(next)]) move(backend, piece, next, /*out=*/true);
    }
    if (!together) return;
    works = {backend.endCoalescing()};
    if (!works[0]) works.clear();
  });
  return [this, operation, works, landed] {
    wires_->wait(operation, works);
    for (const auto& [reached, piece] : landed) put_back(reached, piece);
  };
}

void Group::swap(const char* operation, const Pieces& to, const Pieces& from) {
  std::vector<Pieces> out, in;
  for (size_t i = 0; i < to.size(); ++i) out.push_back({to[i]}), in.push_back({from[i]});
  const auto wait = begin_swap(operation, out, in);
  const auto own = static_cast<size_t>(rank());
  from[own].copy_(to[own]);
  wait();
}

void Group::gather(const at::Tensor& own, const at::Tensor& all) {
  enter("gather", own);
  swap("gather", Pieces(static_cast<size_t>(size()), own), all.unbind());
}

std::function<void()> Group::begin_gather(const Pieces& own, const std::vector<Pieces>& places) {
  for (size_t k = 0; k < own.size(); ++k) enter_pieces("gather", places, k);
  auto wait = begin_swap("gather", std::vector<Pieces>(static_cast<size_t>(size()), own), places);
  const auto& mine = places[static_cast<size_t>(rank())];
  for (size_t k = 0; k < own.size(); ++k) mine[k].copy_(own[k]);
  return wait;
}

namespace {

// The sum of `parts`, one of each process, in their order.
void add_up(const Pieces& parts, const at::Tensor& own) {
  const auto type = parts[0].scalar_type();
  const auto wide = at::promote_types(type, at::isFloatingType(type) ? at::kFloat : at::kLong);
  if (wide == type && own.scalar_type() == type && parts.size() == 2) {
    auto sum = own;
    at::add_out(sum, parts[0], parts[1]);
    return;
  }
  auto total = parts[0].to(wide, /*non_blocking=*/false, /*copy=*/true);
  for (size_t i = 1; i < parts.size(); ++i) total.add_(parts[i]);
  own.copy_(total);
}

}  // namespace

void Group::scatter_sum(const at::Tensor& all, const at::Tensor& own) {
  std::vector<Pieces> parts;
  for (const auto& part : all.unbind()) parts.push_back({part});
  begin_scatter_sum(parts, {own})();
}

std::function<void()> Group::begin_scatter_sum(const std::vector<Pieces>& parts, const Pieces& own) {
  for (size_t k = 0; k < own.size(); ++k) enter_pieces("scatter_sum", parts, k);
  const auto mine = static_cast<size_t>(rank());
  std::vector<Pieces> received(parts.size());
  for (size_t i = 0; i < parts.size(); ++i)
    for (const auto& piece : parts[mine]) received[i].push_back(i == mine ? at::Tensor() : at::empty_like(piece));
  auto wait = begin_swap("scatter_sum", parts, received);
  received[mine] = parts[mine];
  // What is sent stays alive until it has been.
  return [wait, parts, received, own] {
    wait();
    for (size_t k = 0; k < own.size(); ++k) {
      Pieces all;
      for (const auto& of_process : received) all.push_back(of_process[k]);
      add_up(all, own[k]);
    }
  };
}

std::function<void()> Group::begin_exchange(const std::vector<Pieces>& to, const std::vector<Pieces>& from) {
  const auto own = static_cast<size_t>(rank());
  enter("exchange", at::empty({0}, at::kByte));  // what a process has to send is its own matter
  auto wait = begin_swap("exchange", to, from);
  for (size_t k = 0; k < to[own].size(); ++k) from[own][k].copy_(to[own][k]);
  return [wait, to] { wait(); };  // what is sent stays alive until it has been
}

// Two processes may send to each other at once, so each way has a lane of NCCL's.
int Group::lane_of(int from, int to, int lane) { return 2 * lane + (from < to ? 0 : 1); }

std::function<void()> Group::begin_send(const at::Tensor& x, int to, int lane, int tag) {
  sends_ = true;
  enter("send", x);
  count("send", static_cast<int64_t>(x.nbytes()));
  if (!wires_) return nothing;
  std::vector<at::Tensor> out{bytes_of(wires_->reachable(x))};
  auto& backend = wires_->backend(x, lane_of(rank(), to, lane));
  const auto work = wires_->guarded("send", [&] { return backend.send(out, to, tag); });
  return [this, work, x, to] { wires_->wait(fmt::format("send to process {} of{}", to, place_.name), {work}); };
}

void Group::receive(const at::Tensor& x, int from, int lane, int tag) {
  sends_ = true;
  enter("receive", x);
  if (!wires_) return;
  const auto what = fmt::format("receive from process {} of{}", from, place_.name);
  const auto reached = wires_->reachable(x);
  std::vector<at::Tensor> in{bytes_of(reached)};
  auto& backend = wires_->backend(x, lane_of(from, rank(), lane));
  wires_->wait(what, {wires_->guarded(what, [&] { return backend.recv(in, from, tag); })});
  put_back(reached, x);
}

at::Tensor Group::exchange(const at::Tensor& rows, const std::vector<int64_t>& to, const std::vector<int64_t>& from) {
  enter("exchange", rows.narrow(0, 0, 0));
  auto sizes = rows.sizes().vec();
  sizes[0] = 0;
  for (const auto n : from) sizes[0] += n;
  const auto received = at::empty(sizes, rows.options());
  swap("exchange", rows.split_with_sizes(to), received.split_with_sizes(from));
  return received;
}

void Group::wait_for_all() {
  if (!wires_) return;
  wires_->wait("wait_for_all", {wires_->guarded("wait_for_all", [&] { return wires_->gloo().barrier(); })});
}

}  // namespace antiphon::comm
