"""An MCP server over streamable HTTP. What it is told lives in its memory alone, as its sessions do."""

from mcp.server import MCPServer

server = MCPServer("notes")
notes: list[str] = []


@server.tool()
def note(text: str) -> int:
    """Remembers a text, and says how many it remembers now."""
    notes.append(text)
    return len(notes)


@server.tool()
def recall() -> list[str]:
    """All that it remembers."""
    return notes


server.run("streamable-http", host="0.0.0.0", port=8809)
