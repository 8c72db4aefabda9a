// Makes token files from text: see token_file.hpp for what lies where.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "data/text_corpus.hpp"
#include "data/tokenizer.hpp"
#include "storage/file_system.hpp"

namespace ferula {

/// Tokenises the corpus into a new file, in bounded memory; an existing file is replaced once the new one is complete
/// and on disk. The same text, tokenizer and `created_by` give the same bytes. DataError where a source has changed
/// since the survey, CapacityError where the disk is full; nothing is left of the new file then.
void write_token_file(FileSystem& files, const std::string& path, const TextCorpus& corpus, const Tokenizer& tokenizer,
                      std::string_view created_by);

/// What to do with the token file of a run whose text has changed since it was written.
enum class OnChangedText : std::uint8_t {
  rewrite,  // a new run: take the text as it is now, also where the old file cannot be read
  refuse,   // a resumed run: throw DataError, the order of the samples would silently become another one
};

/// Makes sure that `path` holds the tokens of `patterns` as they are now; writes it only when needed. Called by one
/// rank, the others open the file after a barrier. Cost when nothing has changed: reading the text once. `is_output` as
/// of survey_text.
TextCorpus ensure_token_file(FileSystem& files, const std::string& path, std::span<const std::string> patterns,
                             const Tokenizer& tokenizer, std::string_view created_by, OnChangedText on_changed,
                             const PathFilter& is_output = {});

}  // namespace ferula
