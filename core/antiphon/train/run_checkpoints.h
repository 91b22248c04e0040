// Who writes the checkpoints of a run: its first process, or several of them, each its share.
#pragma once
#include <filesystem>
#include <memory>
#include <optional>

#include <antiphon/checkpoint/checkpoint_writer.h>
#include <antiphon/comm/group.h>

namespace antiphon::train {

// All processes call the same functions with the same steps.
class RunCheckpoints {
 public:
  virtual ~RunCheckpoints() = default;
  virtual bool writes() const = 0;  // whether this process's content is wanted
  // See CheckpointWriter. In a process that writes nothing they have no effect.
  virtual void prepare(const checkpoint::CheckpointContent& content) = 0;
  virtual void save(int64_t step, const checkpoint::CheckpointContent& content) = 0;
  // The outcome of the last save(), once, in all processes: true: it is complete, or its Error; false: nothing new.
  virtual bool outcome(bool wait) = 0;
  // Complete when it returns, in all processes, or an Error.
  virtual void save_now(int64_t step, const checkpoint::CheckpointContent& content) = 0;
};

struct CheckpointPlace {
  std::filesystem::path folder;
  int64_t keep = 1;
};
// `writes`: this process does, no other does.
std::unique_ptr<RunCheckpoints> checkpoints_of_one(const CheckpointPlace& place, bool writes);
// `share`: of this process; nullopt: others write all that it has, too. The first of the group prepares and finishes.
std::unique_ptr<RunCheckpoints> checkpoints_of_all(const CheckpointPlace& place, comm::Group& group,
                                                   std::optional<checkpoint::Share> share, int count);

}  // namespace antiphon::train
