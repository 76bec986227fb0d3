// model.cpp - embed_tokens → [attention → mlp] × layers → final norm → mean → dense.
#include "model/model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <memory>

#include "base/error.h"
#include "base/heap.h"
#include "model/packed.h"
#include "model/workspace.h"
#include "weights/gguf.h"
#include "weights/safetensors.h"

namespace gemlet {
namespace {

constexpr size_t kSpareTokens = 512;  // a larger workspace is made in far less time than it is used for

Source merge(const std::vector<MappedFile>& files, const std::vector<std::pair<std::string, std::string>>& names) {
  Source all;
  for (size_t i = 0; i < files.size(); ++i) {
    std::map<std::string, Tensor> tensors;
    if (files[i].bytes().text().starts_with("GGUF")) {
      GgufFile gguf = read_gguf(files[i].bytes(), files[i].path());
      all.norms_hold_one = gguf.norms_hold_one;
      all.block = block_in(gguf, kPackedKey, files[i].path());
      all.block_path = files[i].path();
      tensors = std::move(gguf.tensors);
      const uint8_t* const begin = files[i].bytes().data;
      files[i].drop_pages({begin, static_cast<size_t>(gguf.data.data - begin)});  // the vocabulary, for the most part
    } else {
      tensors = read_safetensors(files[i].bytes(), files[i].path());
    }
    for (auto& [name, tensor] : tensors) all.tensors[names[i].second + name] = std::move(tensor);
  }
  const auto tell = [&files](auto what) {
    return [&files, what](Bytes part) {
      for (const MappedFile& file : files)
        if (file.holds(part)) (file.*what)(part);
    };
  };
  all.expect = tell(&MappedFile::expect_pages);
  all.release = tell(&MappedFile::drop_pages);
  return all;
}

std::vector<MappedFile> map_all(const std::vector<std::pair<std::string, std::string>>& names) {
  std::vector<MappedFile> files;
  for (const auto& [path, prefix] : names) files.emplace_back(path);
  return files;
}

// hidden = the id's row of the table. Throws what MappedFile::copy() throws.
void embed_token(const Pass& pass, const MappedFile& file, int32_t id, float* hidden) {
  const size_t n = pass.config.hidden_size;
  Tensor row = pass.weights.embed_tokens;
  row.bytes.size = n / elements_of(row.dtype) * bytes_of(row.dtype);
  row.bytes.data += static_cast<size_t>(id) * row.bytes.size;
  std::array<uint8_t, kMaxWidth * sizeof(float)> copy;
  file.copy(row.bytes, copy.data());
  row.bytes.data = copy.data();
  read_f32(row, 0, n, hidden);
  // Source: Gemma3TextScaledWordEmbedding
  pass.kernels.scale(hidden, std::sqrt(static_cast<float>(n)), n, hidden);
}

void embed_tokens(const Pass& pass, const MappedFile& file, const int32_t* ids) {
  Timed timed(pass.watch, kEmbedding);
  const auto embed = [&](size_t t) {
    embed_token(pass, file, ids[t], pass.work.hidden.data() + t * pass.config.hidden_size);
  };
  std::atomic<size_t> failed{pass.tokens};
  pass.pool.parallel_for(pass.tokens, [&](size_t t, size_t) {
    try {
      embed(t);
    } catch (const Error&) {  // threads of the pool may not throw
      failed = t;
    }
  });
  if (failed < pass.tokens) embed(failed);
}

const MappedFile& holder(const std::vector<MappedFile>& files, Bytes part) {
  return *std::find_if(files.begin(), files.end(), [&](const MappedFile& file) { return file.holds(part); });
}

}  // namespace

// The workspace of one call: the spare one when no other call has it, and back to the spare place at the end, or, if it
// is large, back to the system.
class Model::Lease {
 public:
  Lease(const Model& model, const Batch& batch) : model_(model), work_(model.spare_.exchange(nullptr)) {
    if (!work_) work_ = std::make_unique<Workspace>();
    work_->sequences.clear();
    for (size_t s = 0; s < batch.sequences; ++s)
      work_->sequences.push_back(
          {static_cast<size_t>(batch.cu_seqlens[s]), static_cast<size_t>(batch.cu_seqlens[s + 1])});
    work_->prepare(model.config_, model.weights_, model.threads());
    size_t longest = 0;
    for (const TokenRange& sequence : work_->sequences) longest = std::max(longest, sequence.size());
    model.weights_.rope_full->require(longest);
    model.weights_.rope_sliding->require(longest);
  }
  ~Lease() {
    if (work_->sequences.back().end <= kSpareTokens) {
      work_.reset(model_.spare_.exchange(work_.release()));
    } else {
      work_.reset();
      give_back_freed_memory();
    }
  }

  Workspace& operator*() { return *work_; }

 private:
  const Model& model_;
  std::unique_ptr<Workspace> work_;
};

Model::Model(Config config, const std::vector<std::pair<std::string, std::string>>& files, Storage storage,
             const Kernels& kernels, size_t threads)
    : config_(std::move(config)),
      kernels_(kernels),
      pool_(threads),
      files_(map_all(files)),
      weights_(pack_weights(config_, merge(files_, files), storage, kernels_, pool_)) {}

Model::~Model() { delete spare_.load(); }

void Model::check(const Batch& batch) const {
  if (batch.cu_seqlens[0] != 0) throw Error(Code::kInput, "cu_seqlens does not start at 0");
  for (size_t s = 0; s < batch.sequences; ++s) {
    const int64_t size = int64_t{batch.cu_seqlens[s + 1]} - batch.cu_seqlens[s];
    if (size < 1 || size > static_cast<int64_t>(config_.max_position_embeddings)) {
      throw Error(Code::kInput, "sequence " + std::to_string(s) + " has " + std::to_string(size) + " tokens; 1 to " +
                                    std::to_string(config_.max_position_embeddings) + " are possible");
    }
  }
  for (size_t t = 0; t < batch.tokens(); ++t) {
    if (batch.input_ids[t] < 0 || static_cast<size_t>(batch.input_ids[t]) >= config_.vocab_size) {
      throw Error(Code::kInput, "token id " + std::to_string(batch.input_ids[t]) + " is outside the vocabulary of " +
                                    std::to_string(config_.vocab_size));
    }
  }
}

// A slice goes from one layer's attention to the next one's in one piece.
void Model::run_layers(const Pass& pass, const int32_t* input_ids, size_t layers) const {
  embed_tokens(pass, holder(files_, weights_.embed_tokens.bytes), input_ids);
  if (layers == 0) return;
  for (const Slice& slice : pass.work.slices) {
    const Layer& first = weights_.layers[0];
    norm_rows(pass, slice, first.input_layernorm, first.qkv_proj);
    project(pass, first, slice);
  }
  for (size_t i = 0; i < layers; ++i) {
    const Layer& layer = weights_.layers[i];
    attend(pass, layer);
    for (const Slice& slice : pass.work.slices) {
      project_back(pass, layer, slice);
      add_norm_rows(pass, slice, layer.post_attention_layernorm, layer.pre_feedforward_layernorm, layer.gate_up_proj);
      mlp(pass, layer, slice);
      if (i + 1 == layers) {
        add_rows(pass, slice, layer.post_feedforward_layernorm);
      } else {
        const Layer& next = weights_.layers[i + 1];
        add_norm_rows(pass, slice, layer.post_feedforward_layernorm, next.input_layernorm, next.qkv_proj);
        project(pass, next, slice);
      }
    }
  }
}

void Model::embed(const Batch& batch, float* out, std::vector<double>* seconds) const {
  check(batch);
  if (batch.sequences == 0) return;
  Lease work(*this, batch);
  Stopwatch watch{};
  const Pass pass{config_, weights_, kernels_, pool_, *work, batch.tokens(), seconds ? &watch : nullptr};
  run_layers(pass, batch.input_ids, config_.num_hidden_layers());
  pool_and_project(pass, out);
  if (seconds) seconds->assign(watch.begin(), watch.end());
}

void Model::token_embeddings(const Batch& batch, float* out) const {
  check(batch);
  if (batch.sequences == 0) return;
  Lease work(*this, batch);
  const Pass pass{config_, weights_, kernels_, pool_, *work, batch.tokens()};
  run_layers(pass, batch.input_ids, config_.num_hidden_layers());
  final_norm(pass, out);
}

std::vector<std::vector<double>> Model::mean_squares(const Batch& batch) const {
  check(batch);
  if (batch.sequences == 0) throw Error(Code::kInput, "no sequence, no mean");
  if (weights_.layers[0].qkv_proj.parts[0].gemm != &kernels_.bf16)
    throw Error(Code::kInput, "mean squares are taken in bf16");
  Lease work(*this, batch);
  Squares squares;
  const Pass pass{config_, weights_, kernels_, pool_, *work, batch.tokens(), nullptr, &squares};
  run_layers(pass, batch.input_ids, config_.num_hidden_layers());
  std::vector<std::vector<double>> means;
  for (const Layer& layer : weights_.layers) {
    for (const Linear* linear : {&layer.qkv_proj, &layer.o_proj, &layer.gate_up_proj, &layer.down_proj}) {
      means.push_back(std::move(squares[linear]));
      for (double& value : means.back()) value /= static_cast<double>(batch.tokens());
    }
  }
  return means;
}

void Model::hidden_states(const Batch& batch, size_t layers, float* out) const {
  check(batch);
  if (layers > config_.num_hidden_layers()) throw Error(Code::kInput, "the model has fewer layers");
  if (batch.sequences == 0) return;
  Lease work(*this, batch);
  const Pass pass{config_, weights_, kernels_, pool_, *work, batch.tokens()};
  run_layers(pass, batch.input_ids, layers);
  std::memcpy(out, (*work).hidden.data(), batch.tokens() * config_.hidden_size * sizeof(float));
}

}  // namespace gemlet
