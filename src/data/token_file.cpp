#include "data/token_file.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace ferula {

namespace {

[[noreturn]] void refuse(const std::string& path, const std::string& expected, const std::string& found) {
  throw DataError(fmt::format("{}: expected {}, found {}", path, expected, found));
}

/// Adds to a DataError of `work` what to do about the file.
template <class Work>
auto advised(TokenFileOwner owner, Work work) {
  try {
    return work();
  } catch (const DataError& error) {
    throw DataError(fmt::format("{}; {}", error.what(),
                                owner == TokenFileOwner::run ? "delete it: the run makes it anew from data.text"
                                                             : "make it anew from its text with: ferula tokenize"));
  }
}

/// False for a text that was given as tokens. A token file that was cut is still one.
bool begins_as_hdf5(FileSystem& files, const std::string& path) {
  constexpr std::string_view kSignature{"\x89HDF\r\n\x1a\n", 8};
  if (files.is_directory(path)) return false;
  const std::unique_ptr<File> file = files.open(path, OpenMode::read);
  std::string begin(kSignature.size(), '\0');
  if (file->bytes() < std::ssize(begin)) return false;
  file->read_at(0, std::as_writable_bytes(std::span(begin)));
  return begin == kSignature;
}

Hdf5File open_existing(FileSystem& files, const std::string& path, TokenFileOwner owner) {
  if (!files.exists(path)) {
    throw DataError(fmt::format("{}: no such token file; make one with: ferula tokenize", path));
  }
  if (owner == TokenFileOwner::user && !begins_as_hdf5(files, path)) {
    throw DataError(
        fmt::format("{}: expected a token file, found no HDF5 file; give text as data.text, or make a token file of it "
                    "with: ferula tokenize",
                    path));
  }
  return advised(owner, [&] { return Hdf5File::open(path); });
}

std::vector<std::string> lines_of(const Hdf5Dataset& dataset) {
  std::string text(static_cast<std::size_t>(dataset.count()), '\0');
  dataset.read(0, TensorView(reinterpret_cast<std::byte*>(text.data()), DType::u8, {dataset.count()}));
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

std::vector<std::int64_t> integers_of(const Hdf5Dataset& dataset) {
  std::vector<std::int64_t> values(static_cast<std::size_t>(dataset.count()));
  dataset.read(0, TensorView(reinterpret_cast<std::byte*>(values.data()), DType::i64, {dataset.count()}));
  return values;
}

/// Widens bytes that lie in the last quarter of `out`, in place: byte i is read before place i can overwrite it.
void widen(std::span<std::int32_t> out) {
  const auto* narrow = reinterpret_cast<const std::uint8_t*>(out.data()) + 3 * out.size();
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = narrow[i];
}

}  // namespace

Digest digest_of_elements(const Hdf5Dataset& dataset) {
  std::vector<std::byte> block(kHashBlockBytes);
  const std::int64_t most = kHashBlockBytes / bytes_of(dataset.dtype());
  std::string digests;
  for (std::int64_t begin = 0; begin < dataset.count(); begin += most) {
    const TensorView part(block.data(), dataset.dtype(), {std::min(most, dataset.count() - begin)});
    dataset.read(begin, part);
    const Digest digest = digest_of(std::span(block).first(static_cast<std::size_t>(part.bytes())));
    digests.append(digest.bytes.begin(), digest.bytes.end());
  }
  return digest_of(digests);
}

TokenFile::TokenFile(FileSystem& files, const std::string& path, TokenFileOwner owner)
    : path_(path), owner_(owner), file_(open_existing(files, path, owner)) {
  advised(owner_, [&] {
    read_header();
    tokens_ = file_.dataset("/tokens");
    check_structure();
  });
  byte_position_ = tokens_->byte_position();
  if (byte_position_) raw_ = files.open(path, OpenMode::read);
}

void TokenFile::read_header() {
  if (!file_.has_attribute("/", "format") || file_.text_attribute("/", "format") != "ferula-tokens") {
    refuse(path_, "a token file (attribute format = \"ferula-tokens\")", "another HDF5 file");
  }
  const std::int64_t version = file_.integer_attribute("/", "format_version");
  if (version != kTokenFileVersion) {
    refuse(path_, fmt::format("format version {}", kTokenFileVersion), fmt::format("version {}", version));
  }
  tokenizer_ = file_.text_attribute("/", "tokenizer");
  vocabulary_ = file_.integer_attribute("/", "vocabulary");
  const auto text = [this](const char* name) {
    return file_.has_attribute("/", name) ? file_.text_attribute("/", name) : std::string();
  };
  content_key_ = text("content_key");
  created_by_ = text("created_by");
  if (!file_.has_attribute("/", "tokens_digest")) return;
  digest_ = digest_from_hex(text("tokens_digest"));
  if (!digest_) refuse(path_, "a digest of the tokens of 32 hexadecimal digits", "another text");
}

void TokenFile::check_structure() {
  const DType dtype = tokens_->dtype();
  if (dtype != DType::u8 && dtype != DType::i32) refuse(path_, "tokens of u8 or i32", std::string(name_of(dtype)));
  if (vocabulary_ <= 0) refuse(path_, "a positive vocabulary", std::to_string(vocabulary_));
  const std::vector<std::int64_t> offsets = integers_of(file_.dataset("/document_offsets"));
  const bool holds = !offsets.empty() && offsets.front() == 0 && offsets.back() == tokens_->count() &&
                     std::is_sorted(offsets.begin(), offsets.end());
  if (!holds) refuse(path_, fmt::format("document offsets from 0 to {}", tokens_->count()), "others");
  documents_ = static_cast<std::int64_t>(offsets.size()) - 1;
}

Digest TokenFile::verify() const {
  return advised(owner_, [&] {
    const Digest found = digest_of_elements(*tokens_);
    if (found != digest_.value_or(found))
      refuse(path_, "the tokens that were written", "others (their hash differs): the file is damaged");
    return found;
  });
}

std::vector<TextSource> TokenFile::sources() const {
  return advised(owner_, [&] { return read_sources(); });
}

std::vector<TextSource> TokenFile::read_sources() const {
  const auto paths = lines_of(file_.dataset("/sources/path"));
  const auto digests = lines_of(file_.dataset("/sources/digest"));
  const auto bytes = integers_of(file_.dataset("/sources/bytes"));
  const auto offsets = integers_of(file_.dataset("/document_offsets"));
  if (paths.size() != bytes.size() || digests.size() != bytes.size() || offsets.size() != bytes.size() + 1) {
    refuse(path_, "one path, digest and size a document", "different numbers of them");
  }
  std::vector<TextSource> sources;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    const auto digest = digest_from_hex(digests[i]);
    if (!digest) refuse(path_, "a digest of 32 hexadecimal digits", digests[i]);
    sources.push_back({paths[i], bytes[i], offsets[i + 1] - offsets[i], *digest});
  }
  return sources;
}

void TokenFile::read_bytes(std::int64_t begin, TensorView target) const {
  if (!byte_position_) return tokens_->read(begin, target);
  raw_->read_at(*byte_position_ + begin * bytes_of(target.dtype),
                {target.data, static_cast<std::size_t>(target.bytes())});
}

void TokenFile::read(std::int64_t begin, std::span<std::int32_t> out) const {
  const auto count = static_cast<std::int64_t>(out.size());
  FERULA_CHECK(begin >= 0 && begin + count <= tokens(), "tokens [{}, {}) of {}", begin, begin + count, tokens());
  auto* memory = reinterpret_cast<std::byte*>(out.data());
  if (tokens_->dtype() == DType::u8) {
    read_bytes(begin, TensorView(memory + 3 * count, DType::u8, {count}));
    widen(out);
  } else {
    read_bytes(begin, TensorView(memory, DType::i32, {count}));
  }
  const auto wrong =
      std::find_if(out.begin(), out.end(), [this](std::int32_t token) { return token < 0 || token >= vocabulary_; });
  if (wrong != out.end()) {
    advised(owner_, [&] {
      refuse(path_, fmt::format("token ids below {}", vocabulary_),
             fmt::format("{} at token {}", *wrong, begin + (wrong - out.begin())));
    });
  }
}

void TokenFile::require(const Tokenizer& tokenizer) const {
  if (tokenizer_ != tokenizer.name() || vocabulary_ > tokenizer.vocabulary()) {
    throw DataError(fmt::format(
        "{}: expected tokens of the tokenizer \"{}\" (vocabulary {}), found \"{}\" ({}); set data.tokenizer "
        "to it or tokenise the text again",
        path_, tokenizer.name(), tokenizer.vocabulary(), tokenizer_, vocabulary_));
  }
}

}  // namespace ferula
