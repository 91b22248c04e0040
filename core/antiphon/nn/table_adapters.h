// Changes of a language model's embedding and head (component/token_table.h): what methods that put them there share.
#pragma once
#include <antiphon/component/module.h>
#include <antiphon/component/token_table.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace antiphon::nn {

// Whether a change of these tables is of one of both only: of an embedding that is the head, or of that head.
bool is_part_of_tied(const std::vector<Site>& tables);

// The reason then, for Peft::why_not_merged().
inline const char* const kPartOfTied = "it changes one of an embedding and a head that are one table";

// The tables that are not among `changed`.
std::vector<Site> tables_without(std::vector<Site> tables, const std::vector<Site>& changed);

// See Peft::copies_of_part(): the table as PEFT has it, with this behind its name.
Parameter copy_of(const Site& site, const std::string& end = {});

// See Peft: of rows that all of these tables have, whose key ends so behind the table's name.
std::vector<std::pair<std::string, std::string>> repeated_keys(const std::vector<Site>& tables, const std::string& end);

// See Peft::merge(), of a change that all of these tables have: they are one.
void merge_table_adapter(const std::vector<Site>& tables, const std::shared_ptr<TableAdapter>& adapter);

}  // namespace antiphon::nn
