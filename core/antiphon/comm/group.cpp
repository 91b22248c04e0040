#include <antiphon/comm/group.h>

#include <ATen/ATen.h>
#include <fmt/format.h>
#define USE_C10D_GLOO 1  // else the header is empty
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <antiphon/base/beacon.h>
#include <antiphon/base/error.h>
#include <antiphon/base/mixed.h>

#include <algorithm>

namespace antiphon::comm {

// What c10d makes of a place.
class Group::Wires {
 public:
  explicit Wires(Place place) : place_(std::move(place)) {
    const beacon::Waiting waiting("meeting the other processes");
    store_ = guarded("meeting the other processes", [&] { return meet(); });
    backend_ = guarded("connecting the processes", [&] { return connect(); });
  }
  // Of a part of those that have met.
  Wires(Place place, c10::intrusive_ptr<c10d::Store> store) : place_(std::move(place)), store_(std::move(store)) {
    const beacon::Waiting waiting("connecting " + place_.name);
    backend_ = guarded("connecting " + place_.name, [&] { return connect(); });
  }

  template <class Body>
  auto guarded(const std::string& what, const Body& body) const -> decltype(body()) {
    try {
      return body();
    } catch (const Error&) {
      throw;
    } catch (const std::exception& error) {
      const std::string text = error.what();
      fail(ErrorKind::distributed,
           fmt::format("process {} of {}: {}: {}", place_.rank, place_.size, what, text.substr(0, text.find('\n'))),
           "look at the output of the other processes: one has ended, or is not there");
    }
  }

  void wait(const std::string& what, const std::vector<c10::intrusive_ptr<c10d::Work>>& works) const {
    const beacon::Waiting waiting(what);
    guarded(what, [&] {
      for (const auto& work : works) work->wait();
    });
  }

  c10d::Backend& backend() { return *backend_; }
  const c10::intrusive_ptr<c10d::Store>& store() const { return store_; }

 private:
  c10::intrusive_ptr<c10d::Store> meet() {
    c10d::TCPStoreOptions options;
    options.isServer = place_.rank == 0 && place_.serves, options.numWorkers = place_.size,
    options.timeout = place_.timeout;
    if (options.isServer && place_.listener < 0) place_.listener = listen_at(place_.address, place_.port);
    if (options.isServer) options.masterListenFd = place_.listener;
    options.port = static_cast<uint16_t>(place_.port);
    return c10::make_intrusive<c10d::TCPStore>(place_.address, options);
  }

  c10::intrusive_ptr<c10d::Backend> connect() {
    const auto options = c10d::ProcessGroupGloo::Options::create(place_.timeout);
    options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForInterface(place_.interface));
    const auto store = c10::make_intrusive<c10d::PrefixStore>("antiphon" + place_.name, store_);
    return c10::make_intrusive<c10d::ProcessGroupGloo>(store, place_.rank, place_.size, options);
  }

  Place place_;
  c10::intrusive_ptr<c10d::Store> store_;
  c10::intrusive_ptr<c10d::Backend> backend_;
};

namespace {

at::Tensor bytes_of(const at::Tensor& x) { return x.view(-1).view(at::kByte); }

}  // namespace

Group::Group(const Place& place) : place_(place), wires_(std::make_unique<Wires>(place)) {}

Group::Group(const Place& place, std::unique_ptr<Wires> wires) : place_(place), wires_(std::move(wires)) {}

Group::~Group() = default;

std::unique_ptr<Group> Group::dry(int rank, int size) {
  Place place;
  place.rank = rank, place.size = size;
  return std::unique_ptr<Group>(new Group(place, nullptr));
}

Group::Wires& Group::wires() {
  if (!wires_) fail(ErrorKind::internal, "a group without processes cannot exchange anything");
  return *wires_;
}

std::unique_ptr<Group> Group::subgroup(const std::string& name, const std::vector<int>& members) {
  auto place = place_;
  if (std::ranges::find(members, rank()) == members.end())
    fail(ErrorKind::internal, fmt::format("process {} is none of the subgroup {}", rank(), name));
  place.rank = static_cast<int>(std::ranges::find(members, rank()) - members.begin());
  place.size = static_cast<int>(members.size());
  place.name += fmt::format("/{}/{}", name, members.front());
  return std::unique_ptr<Group>(new Group(place, std::make_unique<Wires>(place, wires().store())));
}

void Group::enter(const char* operation, const at::Tensor& x) {
  for (const char* letter = operation; *letter; ++letter) ledger_ = mixed(ledger_, static_cast<uint64_t>(*letter));
  ledger_ = mixed(mixed(ledger_, static_cast<uint64_t>(x.scalar_type())), static_cast<uint64_t>(x.numel()));
}

// The pieces of all processes together are the same everywhere.
void Group::enter_pieces(const char* operation, const std::vector<Pieces>& of_processes, size_t piece) {
  enter(operation, of_processes.front()[piece].view(-1).narrow(0, 0, 0));
  for (const auto& pieces : of_processes) ledger_ = mixed(ledger_, static_cast<uint64_t>(pieces[piece].numel()));
}

void Group::sum(const at::Tensor& x) { begin_sum(x)(); }

std::function<void()> Group::begin_sum(const at::Tensor& x) {
  enter("sum", x);
  std::vector<at::Tensor> all{x};
  const auto work = wires().guarded("sum", [&] { return wires().backend().allreduce(all); });
  return [this, work] { wires().wait("sum", {work}); };
}

void Group::largest(const at::Tensor& x) {
  enter("largest", x);
  std::vector<at::Tensor> all{x};
  c10d::AllreduceOptions options;
  options.reduceOp = c10d::ReduceOp::MAX;
  wires().wait("largest", {wires().backend().allreduce(all, options)});
}

void Group::broadcast(const at::Tensor& x, int root) {
  enter("broadcast", x);
  std::vector<at::Tensor> all{x};
  c10d::BroadcastOptions options;
  options.rootRank = root;
  wires().wait("broadcast", {wires().backend().broadcast(all, options)});
}

// Sends and receives pieces, each pair of processes at once; a piece without bytes is not sent. Gloo's own gather and
// reduce-scatter take two to four times as long (pytorch issue 118911). Each swap has a tag of its own, so that several
// may be under way.
std::function<void()> Group::begin_swap(const char* operation, const std::vector<Pieces>& to,
                                        const std::vector<Pieces>& from) {
  auto& backend = wires().backend();
  constexpr uint32_t kTags = 1 << 30;
  const int tag = static_cast<int>(swaps_++ % kTags);
  std::vector<c10::intrusive_ptr<c10d::Work>> works;
  wires().guarded(operation, [&] {
    for (int step = 1; step < size(); ++step) {
      const int next = (rank() + step) % size(), last = (rank() - step + size()) % size();
      for (const auto& piece : from[static_cast<size_t>(last)]) {
        std::vector<at::Tensor> in{bytes_of(piece)};
        if (in[0].numel() > 0) works.push_back(backend.recv(in, last, tag));
      }
      for (const auto& piece : to[static_cast<size_t>(next)]) {
        std::vector<at::Tensor> out{bytes_of(piece)};
        if (out[0].numel() > 0) works.push_back(backend.send(out, next, tag));
      }
    }
  });
  return [this, operation, works] { wires().wait(operation, works); };
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
  enter("exchange", to[own].front().view(-1).narrow(0, 0, 0));
  auto wait = begin_swap("exchange", to, from);
  for (size_t k = 0; k < to[own].size(); ++k) from[own][k].copy_(to[own][k]);
  return [wait, to] { wait(); };  // what is sent stays alive until it has been
}

std::function<void()> Group::begin_send(const at::Tensor& x, int to, int tag) {
  enter("send", x);
  std::vector<at::Tensor> out{bytes_of(x)};
  const auto work = wires().guarded("send", [&] { return wires().backend().send(out, to, tag); });
  return [this, work, x, to] { wires().wait(fmt::format("send to process {} of{}", to, place_.name), {work}); };
}

void Group::receive(const at::Tensor& x, int from, int tag) {
  enter("receive", x);
  const auto what = fmt::format("receive from process {} of{}", from, place_.name);
  std::vector<at::Tensor> in{bytes_of(x)};
  wires().wait(what, {wires().guarded(what, [&] { return wires().backend().recv(in, from, tag); })});
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

void Group::wait_for_all() { wires().wait("wait_for_all", {wires().backend().barrier()}); }

}  // namespace antiphon::comm
