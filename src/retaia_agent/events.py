"""What an agent tells whoever watches it.

=================== ================================================================================
name                data
=================== ================================================================================
``unavailable``     ``processor``, ``reason``: it cannot work here; its capabilities are not declared
``registered``      ``agent_id``, ``capabilities``, ``warnings``
``offline``         ``error``, ``retry_in_s``: the server does not answer; said for every try
``online``          nothing: the server answers again
``refused``         ``asset_uuid``, ``code``, ``error``: a claim, or what followed it, was not allowed
``claimed``         ``asset_uuid``, ``path``, ``jobs`` (job types)
``progress``        ``asset_uuid``, ``job_id``, ``job_type``, ``current``, ``total``, ``text``
``uploaded``        ``asset_uuid``, ``job_id``, ``kind``, ``size_bytes``
``submitted``       ``asset_uuid``, ``job_id``, ``job_type``, ``warnings``
``failed``          ``asset_uuid``, ``job_id``, ``job_type``, ``code``, ``message``, ``retryable``
``isolating``       ``asset_uuid``, ``jobs`` (job types), ``code``, ``message``: a bundle broke, and its
                    open jobs are now tried one by one
``worker_died``     ``code``, ``message``, ``stderr`` (the end of what the worker process wrote)
``worker_missing``  ``error``, ``retry_in_s``: no worker process can be started
``lost``            ``asset_uuid``, ``jobs`` (job ids), ``reason``: the lease is over, the work thrown away
``released``        ``asset_uuid``, ``jobs`` (job ids): given back, because the agent stops
``bundle_done``     ``asset_uuid``, ``path``
``idle``            nothing: nothing is offered and nothing is in flight
``stopped``         nothing: the last event of a run
=================== ================================================================================
"""

from __future__ import annotations

from attrs import frozen

from retaia_core.ports.agent import AgentEvent, Watch


@frozen
class Teller:
    """Tells events to a watcher: ``tell("claimed", asset_uuid=…)``."""

    watch: Watch

    def __call__(self, name: str, /, **data: object) -> None:
        self.watch(AgentEvent(name=name, data=data))
