// What c10d makes of a place: who meets where, and which of its backends takes which tensors. Only comm's .cpp files
// include this.
#pragma once
#include <ATen/ATen.h>
#include <fmt/format.h>
#define USE_C10D_GLOO 1  // else the header is empty
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <antiphon/base/error.h>
#include <antiphon/comm/group.h>
#include <antiphon/comm/out_of_memory.h>

#include <map>
#include <string>
#include <vector>

namespace antiphon::comm {

using Works = std::vector<c10::intrusive_ptr<c10d::Work>>;

class Group::Wires {
 public:
  // Meets the others. The device's tensors are exchanged too.
  Wires(Place place, c10::Device device);
  // Of a part of those that have met.
  Wires(Place place, const Wires& all);
  ~Wires();
  Wires(const Wires&) = delete;

  // Processes that have a GPU each exchange its tensors by NCCL, from now on. c10d's first backend speaks for a process
  // in records, so that of all is made at once.
  void use_nccl(c10::Device device) {
    by_nccl_ = true;
    backend(at::empty({0}, at::TensorOptions(device)));
  }
  bool by_nccl(const at::Tensor& x) const { return by_nccl_ && !x.is_cpu(); }

  c10d::Backend& gloo() { return *gloo_; }
  static constexpr int kAll = -1;
  // Which takes `x`. NCCL keeps the order of what it is given: messages of two lanes do not wait for each other.
  c10d::Backend& backend(const at::Tensor& x, int lane = kAll);
  // x, or its values in the host's memory, if its backend does not take tensors of its device.
  at::Tensor reachable(const at::Tensor& x) const { return x.is_cpu() || by_nccl_ ? x : x.cpu(); }

  template <class Body>
  auto guarded(const std::string& what, const Body& body) const -> decltype(body()) {
    try {
      return body();
    } catch (const Error&) {
      throw;
    } catch (const std::exception& error) {
      if (is_out_of_memory(error)) throw;
      failed(what, error.what());
    }
  }
  void wait(const std::string& what, const Works& works) const;

 private:
  [[noreturn]] void failed(const std::string& what, const std::string& reason) const;
  std::string why_another_left() const;
  c10::intrusive_ptr<c10d::Store> meet();
  c10::intrusive_ptr<c10d::Backend> connect_gloo();
  c10::intrusive_ptr<c10d::Store> store_of(const std::string& name) const;

  Place place_;
  std::string left_;  // key of the store: why a process has left
  c10::Device device_;
  c10::intrusive_ptr<c10d::Store> store_;
  c10::intrusive_ptr<c10d::Backend> gloo_;
  std::map<int, c10::intrusive_ptr<c10d::Backend>> nccl_;  // by lane, each made when it is first used
  bool by_nccl_ = false;
};

}  // namespace antiphon::comm
