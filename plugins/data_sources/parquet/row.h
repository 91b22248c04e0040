// A row of a table as a record.
#pragma once
#include <arrow/record_batch.h>

#include <antiphon/component/data_source.h>

namespace antiphon::parquet_table {

// Members of the record are the columns; what is null is left out. Bytes, and structs {bytes, path} (Hugging Face's
// Image and Audio), are media that come with the record, under the path or "COLUMN-NUMBER"; if only the path is there,
// it is a file's. Times and decimals are texts. Error(data) for other types and for numbers that are none, with the
// column, and for more than kMaxRecordBytes of JSON.
DataRecord record_of(const arrow::RecordBatch& batch, int64_t row);

}  // namespace antiphon::parquet_table
