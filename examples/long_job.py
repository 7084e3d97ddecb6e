"""A long job with progress and cancel: as a call that waits, and as a task that outlives its request."""

import trio

import trimcp

server = trimcp.Server("primes")


@server.tool(task="optional")
async def count_primes(up_to: int, ctx: trimcp.Context) -> int:
    """Count the primes up to a number."""
    await ctx.become_task()  # where the client takes one
    found, step = 0, 500
    try:
        for start in range(2, up_to + 1, step):
            numbers = range(start, min(start + step, up_to + 1))
            found += await trio.to_thread.run_sync(lambda numbers=numbers: sum(map(is_prime, numbers)))
            await ctx.progress(numbers[-1], up_to, f"{found} primes")
    except trio.Cancelled:
        print(f"the job was cancelled: {ctx.cancel_reason is not None}")
        raise
    return found


def is_prime(number: int) -> bool:
    """Return whether a number is prime."""
    return all(number % divisor for divisor in range(2, int(number**0.5) + 1))


def show(progress: float, total: float | None, message: str | None) -> None:
    """Print a report of progress."""
    if progress == total:
        print(f"{progress:g} of {total:g}: {message}")


async def main() -> None:
    """Wait for a job, leave one early, have one run as a task, and cancel a task."""
    async with trimcp.connect(server) as client:
        # A call that waits. The report of the last step always arrives.
        primes = await client.call_tool("count_primes", {"up_to": 2000}, returns=int, on_progress=show)
        print(f"{primes} primes up to 2000")

        # Leaving the scope tells the server, which cancels the function.
        with trio.move_on_after(0.3) as scope:
            await client.call_tool("count_primes", {"up_to": 100_000_000})
        print(f"left early: {scope.cancelled_caught}")

        # A task goes on beside other calls, and its result is fetched later.
        task = await client.call_tool("count_primes", {"up_to": 5000}, task=True, returns=int)
        print(f"the task has an id: {task.id is not None}")
        print(f"{await task.result()} primes up to 5000, {task.status}")

        task = await client.call_tool("count_primes", {"up_to": 100_000_000}, task=True, returns=int)
        await task.cancel()
        try:
            await task.result()
        except trimcp.TaskCancelled:
            print(f"the task is {task.status}")


if __name__ == "__main__":
    trio.run(main)
