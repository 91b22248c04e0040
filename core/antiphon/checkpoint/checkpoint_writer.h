// Checkpoints that the training does not wait for: copied at once, then written by a thread.
#pragma once
#include <filesystem>
#include <functional>
#include <future>
#include <optional>

#include <antiphon/checkpoint/checkpoint.h>

namespace antiphon::checkpoint {

// Used from one thread. At most one write is under way, and the copy that it reads from is kept for the next.
class CheckpointWriter {
 public:
  using Write = std::function<std::filesystem::path(int64_t step, const CheckpointContent& content)>;
  explicit CheckpointWriter(Write write) : write_(std::move(write)) {}
  // Writes as save_checkpoint() does.
  CheckpointWriter(const std::filesystem::path& folder, int64_t keep);
  CheckpointWriter(const CheckpointWriter&) = delete;
  // Waits for the write under way; a failure that has not been reported is logged.
  ~CheckpointWriter();

  // Allocates the memory for contents of these shapes, on the thread: fresh pages cost more than the copying.
  void prepare(const checkpoint::CheckpointContent& content);
  // Returns when everything is copied: what the caller changes from then on is not in the checkpoint. Waits for the
  // previous one. Error(memory) if there is no room for the copy; the error of the previous one, unless already
  // reported.
  void save(int64_t step, const checkpoint::CheckpointContent& content);
  // The outcome of the last save(), reported once: what `write` gave, or its Error; nullopt: nothing new. poll() does
  // not wait.
  std::optional<std::filesystem::path> wait();
  std::optional<std::filesystem::path> poll();

 private:
  using Written = std::optional<std::filesystem::path>;
  Write write_;
  checkpoint::CheckpointContent copy_;  // the thread's while `writing_` is not ready
  std::future<Written> writing_;
};

}  // namespace antiphon::checkpoint
