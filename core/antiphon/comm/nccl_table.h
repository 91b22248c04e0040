// NCCL, as comm sees it. It lies in libantiphon_nccl.so, which links LibTorch's CUDA library and is opened after it,
// when processes that have a GPU each meet (docs/decisions/0025-nccl.md).
#pragma once
#include <ATen/core/Tensor.h>

#include <chrono>
#include <string>

namespace c10d {
class Backend;
class Store;
}  // namespace c10d

namespace antiphon::comm {

constexpr int kNcclTableVersion = 1;

// One of the processes that a backend connects.
struct NcclMember {
  int rank = 0, size = 1;
  c10::Device device = c10::Device(c10::kCUDA, 0);
  std::chrono::milliseconds timeout{};
  std::string interface;    // of the network, for processes that find each other
  std::string name;         // of the group, in records and messages
  bool all_at_once = true;  // else each pair when it first exchanges something
  bool own_store = true;    // it ends with these processes
};

struct NcclTable {
  int version = kNcclTableVersion;
  // The same text in two processes if NCCL would find them on one GPU, which it refuses.
  std::string (*identity)(c10::Device device);
  // Those who meet at this store. Its work->wait() lets the device wait, not the host; what is late ends the process,
  // after a record has been written.
  c10::intrusive_ptr<c10d::Backend> (*connect)(const c10::intrusive_ptr<c10d::Store>& store, const NcclMember& member);
  // The file that a record of the last exchanges is written into (JSON) if one of them is late; before connect().
  void (*record_into)(const std::string& file);
};

// Opens the library beside libantiphon.so; libtorch_cuda.so must be open. Error(config) saying why it cannot.
const NcclTable& nccl_table();

}  // namespace antiphon::comm
