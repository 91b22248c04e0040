// The learning rate over a run, relative to its peak. Sources: Loshchilov & Hutter 2017 (cosine), Vaswani et al. 2017
// (noam), Hu et al. 2024 and Hägele et al. 2024 (wsd), nemo/core/optim/lr_scheduler.py (the others, and the parts that
// are constant).
//
// Step s, counted from 0, of `steps`; w = warmup_steps, h = hold_steps, b = w + h, e = steps - constant_steps, m =
// min_ratio:
//   s < w                     (s + 1) / w
//   w <= s < b                1
//   constant                  1
//   cosine, linear, polynomial, wsd    m + (1 - m) f(d), d = (s - b) / (e - b), at least 0 and at most 1
//     cosine                  f = (1 + cos(pi d)) / 2
//     linear                  f = 1 - d
//     polynomial              f = (1 - d)^power
//     wsd                     b = e - decay_steps; f as `decay`: cosine, linear, or one_minus_sqrt: 1 - sqrt(d)
//   inverse_sqrt              max(m, sqrt((w + 1) / (s - h + 1)))
//   noam                      max(m, sqrt(w / (s - h + 1))), w at least 1
// NeMo rises to 1 in w + 1 steps, and its noam counts a step less; after the rise the rest is the same
// (schedule_test.cpp). Noam's own rate is lr · (hidden_size · w)^-0.5 at its peak; here the peak is train.optimizer.lr.
#pragma once
#include <cstdint>

#include <antiphon/train/options.h>

namespace antiphon::train {

double lr_ratio(const ScheduleOptions& schedule, int64_t step, int64_t steps);

// A problem for each key that the named schedule has no use for, or lacks.
void check_schedule(const ScheduleOptions& schedule, config::Problems& problems);

}  // namespace antiphon::train
