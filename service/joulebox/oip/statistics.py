"""The statistics extension: what a model has done, in Triton's form.

https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_statistics.md
"""

from __future__ import annotations

from typing import Any

from joulebox.runtime import records
from joulebox.runtime.model import Model
from joulebox.runtime.records import Totals

NEVER = {"count": 0, "ns": 0}


def statistics(model: Model, totals: Totals) -> dict[str, Any]:
    """One model's statistics. Decoding and encoding are of whole requests, and so are not broken down by batch size."""
    fields = totals.fields
    success, executions = fields[records.SUCCESS], fields[records.EXECUTIONS]

    def duration(count: int, nanoseconds: int) -> dict[str, int]:
        return {"count": count, "ns": nanoseconds}

    return {
        "name": model.name,
        "version": model.version,
        "last_inference": fields[records.LAST_MS],
        "inference_count": fields[records.ITEMS],
        "execution_count": executions,
        "inference_stats": {
            "success": duration(success, fields[records.SUCCESS_NS]),
            "fail": duration(fields[records.FAILURE], fields[records.FAILURE_NS]),
            "queue": duration(success, fields[records.QUEUE_NS]),
            "compute_input": duration(success, fields[records.DECODE_NS]),
            "compute_infer": duration(executions, fields[records.BUSY_NS]),
            "compute_output": duration(success, fields[records.ENCODE_NS]),
            "cache_hit": NEVER,
            "cache_miss": NEVER,
        },
        "batch_stats": [
            {"batch_size": size, "compute_input": NEVER, "compute_infer": duration(count, ns), "compute_output": NEVER}
            for size, (count, ns) in enumerate(totals.batches, start=1)
            if count
        ],
        "memory_usage": [],
    }
