// Every sample of every source, looked at by several threads.
#pragma once
#include <string>
#include <vector>

#include <data/examine.h>

namespace antiphon::apps {

struct Source {
  std::string set;  // "train", the name of a set of data.eval, or "" for a file alone
  data::SourceOptions source;
  Examiner examine;
};

struct SourceFindings {
  std::string set, path;
  std::string failure;  // why the source cannot be read at all; empty: it can
  std::vector<Examined> samples;
};

// At most `limit` samples of each source (0: all). Shows its progress on stderr.
std::vector<SourceFindings> check_sources(const std::vector<Source>& sources, int64_t limit, int threads);

// Media of the training data that are in a held-out set too, by content.
struct Leak {
  std::string set;
  int64_t media = 0, samples = 0;  // different files; samples of the set that hold one
  std::string train_place, place;  // "FILE:LINE" of the first one
};
std::vector<Leak> find_leaks(const std::vector<SourceFindings>& findings);

int64_t count_bad(const SourceFindings& source);
// Samples whose id an earlier sample of the source already has.
int64_t count_same_ids(const SourceFindings& source);

}  // namespace antiphon::apps
