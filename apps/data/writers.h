// The writers of each form. Used by make_writer() alone.
#pragma once
#include <data/record_writer.h>

namespace antiphon::apps {

// `list`: one JSON list in place of lines.
std::unique_ptr<RecordWriter> make_line_writer(const std::filesystem::path& path, bool list);
std::unique_ptr<RecordWriter> make_archive_writer(const std::filesystem::path& path, int64_t shard_samples);
// Error(config) for a layout whose programs know no such folder.
std::unique_ptr<RecordWriter> make_folder_writer(const std::filesystem::path& folder, const std::string& layout,
                                                 int64_t shard_samples);
// Null if no data source writes such files.
std::unique_ptr<RecordWriter> make_table_writer(const std::filesystem::path& path);

}  // namespace antiphon::apps
