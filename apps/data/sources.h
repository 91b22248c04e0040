// The data sets of a configuration and how their samples are read.
#pragma once
#include <limits>

#include <antiphon/run/composition.h>
#include <data/check.h>

namespace antiphon::apps {

// Whether it is a file or a folder of records, not a configuration or a run.
bool is_data(const std::string& file);

// How many answers the configuration's objective compares.
int64_t answers_compared(const run::RunConfig& config);

// Prepares samples without weights and without the cache of features, which depend on them.
class Reader {
 public:
  explicit Reader(const run::Composition& composition);  // which must outlive it

  const data::Preparer& preparer() const { return preparer_; }
  // What decides how record `index` of a source is read and its media are changed in an epoch of training.
  uint64_t seed_of(size_t source, int64_t index, int64_t epoch) const;
  // Training first. Error(config) if there is none. They may be looked at as long as this object lives.
  std::vector<Source> sources() const;

 private:
  const run::Composition& composition_;
  data::FeatureCache no_cache_{"", {}};
  data::Augmenter augmenter_;
  data::Attributes attributes_;
  data::Preparer preparer_;
};

}  // namespace antiphon::apps
