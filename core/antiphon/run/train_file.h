// Training as a file says: one run, or its stages one after the other.
#pragma once
#include <antiphon/run/training_run.h>

namespace antiphon::run {

// All stages of the file, or the one of options.open.stage. With `resume`, a stage that was trained to its end by the
// same configuration is left as it is. Stops after a run that ends with anything but RunEnd::trained.
train::RunEnd train_file(const TrainingOptions& options, Processes& processes);

}  // namespace antiphon::run
