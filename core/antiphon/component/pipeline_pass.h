// Which batch of a step, and which chunk of the blocks of this process's stage, a forward pass computes; its backward
// pass is of the same. Of a model that one process computes nothing asks.
#pragma once

namespace antiphon {

class PipelinePass {
 public:
  // Passes of this thread are of these while an object of this class lives. Without one they are of batch and chunk 0.
  PipelinePass(int batch, int chunk);
  ~PipelinePass();
  PipelinePass(const PipelinePass&) = delete;

  static int batch();
  static int chunk();

 private:
  int batch_before_, chunk_before_;
};

}  // namespace antiphon
