#include <antiphon/component/pipeline_pass.h>

#include <utility>

namespace antiphon {
namespace {

thread_local int batch_of_pass = 0, chunk_of_pass = 0;

}  // namespace

PipelinePass::PipelinePass(int batch, int chunk)
    : batch_before_(std::exchange(batch_of_pass, batch)), chunk_before_(std::exchange(chunk_of_pass, chunk)) {}
PipelinePass::~PipelinePass() { batch_of_pass = batch_before_, chunk_of_pass = chunk_before_; }
int PipelinePass::batch() { return batch_of_pass; }
int PipelinePass::chunk() { return chunk_of_pass; }

}  // namespace antiphon
