// Processes that compute together: what they send each other. The exchange itself is c10d's, which lies in LibTorch
// (torch/csrc/distributed/c10d): Gloo, and NCCL for tensors of GPUs. Every process of a group must call the same
// functions in the same order, but for begin_send() and receive(); the ledger tells whether they did.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <antiphon/comm/ledger.h>
#include <antiphon/comm/place.h>

namespace antiphon::comm {

using Pieces = std::vector<at::Tensor>;

// Tensors are contiguous, of one dtype and shape in all processes: float32, float64, int64, or for what only moves any
// dtype. They are on the CPU or on the device that the group was made for. Error(distributed) naming the operation if a
// process is gone or too late; the group cannot be used after that. If GPUs are, nothing here waits for them: an
// exchange takes place after what the current stream has been given, and what it is given next comes after the
// exchange.
class Group {
 public:
  // Meets the others. Error(distributed) if they are not all there in time. Processes that have a GPU each use NCCL;
  // some that share one exchange its tensors through the host's memory, and a warning says so.
  explicit Group(const Place& place, c10::Device device = c10::kCPU);
  // Without processes: who has what can be asked of it, and what would be exchanged is counted. Nothing is moved but on
  // the CPU, as if the others had what this one has; sums and largest values stay as they are.
  static std::unique_ptr<Group> dry(int rank, int size);
  // Those of its processes that are `members`, by rank, in this order; each process names the subgroup that it is in.
  // Those that are made under one `name` have no process in common. Error(distributed) as the constructor.
  std::unique_ptr<Group> subgroup(const std::string& name, const std::vector<int>& members);
  ~Group();
  Group(const Group&) = delete;

  int rank() const { return place_.rank; }
  int size() const { return place_.size; }
  bool is_dry() const { return !wires_; }

  // In place: the sum over all processes, and the largest value.
  void sum(const at::Tensor& x);
  // Begins a sum(), and returns what waits for its end; until then the tensor is not to be touched.
  std::function<void()> begin_sum(const at::Tensor& x);
  void largest(const at::Tensor& x);
  // That of process `root`, everywhere.
  void broadcast(const at::Tensor& x, int root);
  // own [...] of each process -> all [size, ...], in the order of ranks.
  void gather(const at::Tensor& own, const at::Tensor& all);
  // all [size, ...] -> own [...]: the sum of what the processes have at the place of this rank, added up in the order
  // of ranks in float32 at least, so that the result does not depend on who was first.
  void scatter_sum(const at::Tensor& all, const at::Tensor& own);
  // The same of several tensors, which may be of other sizes in each process: own[k] of process i -> places[i][k] in
  // all, and the sum of parts[i][k] -> own[k], of any dtype, in process i. Begins it, and returns what waits for its
  // end; until then the tensors are not to be touched. Those of no elements are not sent.
  std::function<void()> begin_gather(const Pieces& own, const std::vector<Pieces>& places);
  std::function<void()> begin_scatter_sum(const std::vector<Pieces>& parts, const Pieces& own);
  // Pieces to each process and from each, which know what they get; the own ones are copied. Returns what waits for the
  // end.
  std::function<void()> begin_exchange(const std::vector<Pieces>& to, const std::vector<Pieces>& from);
  // To one process, which receives it with the same tag; what waits until it has. The tensor is kept until then. What
  // goes from one process to another on one lane, 0 or 1, is received in the order in which it was sent; the first on a
  // lane waits for its receiver if tensors are of a GPU. Not in a group
  // whose processes gather or add up as well.
  std::function<void()> begin_send(const at::Tensor& x, int to, int lane, int tag);
  void receive(const at::Tensor& x, int from, int lane, int tag);
  // Rows to each process and from each: rows [Σ to, ...] in the order of ranks -> [Σ from, ...].
  at::Tensor exchange(const at::Tensor& rows, const std::vector<int64_t>& to, const std::vector<int64_t>& from);
  void wait_for_all();

  // What this process has sent in this group and all that were made of it, by group and operation ("fsdp gather").
  struct Sent {
    int64_t calls = 0, bytes = 0;  // of a sum, what a ring takes: 2 (n - 1) / n of the tensor
  };
  const std::map<std::string, Sent>& sent() const { return family_->sent; }

  // Of all that was called: operation, dtype and number of values, but not of rows that exchange() moves.
  const Ledger& ledger() const { return ledger_; }
  // This group and those that were made of it and are still there, but for those in which one process sends to another:
  // in each of them all processes have the same ledger.
  std::vector<const Group*> with_ledgers() const;
  // The same in all of its processes, and in no other group's: "all/fsdp1/0".
  std::string id() const { return "all" + place_.name; }

 private:
  class Wires;
  struct Family {
    std::map<std::string, Sent> sent;
    std::vector<const Group*> groups;
  };
  Group(const Place& place, std::unique_ptr<Wires> wires, std::string name, std::shared_ptr<Family> family);
  void enter(const char* operation, const at::Tensor& x);
  void count(const char* operation, int64_t bytes);
  void enter_pieces(const char* operation, const std::vector<Pieces>& of_processes, size_t piece);
  // to[i] to process i, from[i] from it; what waits for the end.
  std::function<void()> begin_swap(const char* operation, const std::vector<Pieces>& to,
                                   const std::vector<Pieces>& from);
  void swap(const char* operation, const Pieces& to, const Pieces& from);
  static int lane_of(int from, int to, int lane);
  Place place_;
  std::unique_ptr<Wires> wires_;
  Ledger ledger_;
  bool sends_ = false;  // one to another
  uint32_t swaps_ = 0;  // begun so far
  std::string name_ = "all";
  std::shared_ptr<Family> family_ = std::make_shared<Family>();
};

}  // namespace antiphon::comm
