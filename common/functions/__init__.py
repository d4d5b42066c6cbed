"""The runtime: what turns a plain async function into a deployed one."""
