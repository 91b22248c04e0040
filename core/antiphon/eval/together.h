// How processes that measure the same samples keep in step, for the sources of Evaluator.
#pragma once
#include <antiphon/base/error.h>
#include <antiphon/eval/evaluate.h>

#include <exception>

namespace antiphon::eval {

// What one process cannot read, none measures: the others would wait for it.
template <class Read>
auto Evaluator::read_together(const Read& read) const {
  decltype(read()) samples;
  std::exception_ptr failure;
  try {
    samples = read();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    failure = std::current_exception();
  }
  const bool failed = largest && largest(failure ? 1 : 0) > 0;
  if (failure) std::rethrow_exception(failure);
  if (failed) fail(ErrorKind::data, "another process cannot read it");
  return samples;
}

// A process that fails in it leaves the others in the middle of a pass.
template <class Pass>
auto Evaluator::pass_together(const Pass& pass) const {
  try {
    return pass();
  } catch (const Error& error) {
    if (!largest || error.kind() != ErrorKind::data) throw;
    fail(ErrorKind::distributed, std::string("a pass that other processes take part in was left: ") + error.what());
  }
}

}  // namespace antiphon::eval
