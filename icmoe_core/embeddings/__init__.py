"""Embeddings: encoded slices, and the cache that keeps them, in memory over disk.

An embedding depends on pixels, window and base weights only; no prompt and no expert has a part
in it. It is computed once, and no fine-tune ever makes it worthless.
"""

from icmoe_core.embeddings.disk import EmbeddingStore
from icmoe_core.embeddings.embedding import Embedding, compact
from icmoe_core.embeddings.encoding import encode_pictures
from icmoe_core.embeddings.keys import embedding_key, encoder_identity
from icmoe_core.embeddings.memory import EmbeddingCache

__all__ = [
    "Embedding",
    "EmbeddingCache",
    "EmbeddingStore",
    "compact",
    "embedding_key",
    "encode_pictures",
    "encoder_identity",
]
