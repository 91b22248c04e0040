#include <antiphon/comm/nccl_table.h>

#include <antiphon/base/error.h>
#include <antiphon/base/own_library.h>

namespace antiphon::comm {

const NcclTable& nccl_table() {
  static const NcclTable* const table = [] {
    const auto opened = open_own_library("libantiphon_nccl.so", "antiphon_nccl_table");
    const auto* found = static_cast<const NcclTable*>(opened.table);
    if (!found)
      fail(ErrorKind::config, "processes that train on GPUs need NCCL: " + opened.problem,
           "build with LibTorch's CUDA wheel, which has nccl.h and CUDA's headers, or use --device cpu");
    if (found->version != kNcclTableVersion)
      fail(ErrorKind::config, "libantiphon_nccl.so belongs to another version of Antiphon",
           "build or install it again");
    return found;
  }();
  return *table;
}

}  // namespace antiphon::comm
