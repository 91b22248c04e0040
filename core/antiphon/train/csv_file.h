// The metrics of a run as a table: metrics.csv, a row for each line of metrics.jsonl and a column for each name in it
// (RFC 4180; a cell is empty if a line has no such name).
#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace antiphon::train {

class CsvFile {
 public:
  // Writes the table of `json_lines` (step first, then the names in order). Error(config) if it cannot.
  CsvFile(std::filesystem::path path, std::filesystem::path json_lines);
  // The row of a record that has just been written to `json_lines`. With a name that has no column yet the table is
  // written anew. False if it could not be written.
  bool add(int64_t step, const std::map<std::string, double>& values);

 private:
  void write_whole();
  std::filesystem::path path_, json_lines_;
  std::vector<std::string> columns_;  // without step
};

}  // namespace antiphon::train
